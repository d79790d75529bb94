import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { formatCount, percentOf } from "../../../../src/cli/ipam/show.ts";
import { assign, type Block, newBlock, withSpec } from "../../../../src/ipam/model/block.ts";
import { formatObject } from "../../../../src/store/file/layout.ts";
import { fixtureWorld, World } from "../world.ts";

const onTerminal = { isTerminal: true, columns: 80, colours: false };

describe("tortie ipam show", () => {
  test("prints Calico's table of the fixture: one pool, 64 addresses in the block, 8 in use", async () => {
    const world = fixtureWorld({ terminal: onTerminal });
    expect(await world.run("ipam show --show-blocks")).toEqual({
      status: 0,
      stderr: "",
      stdout: `\
+----------+------------------+-----------+------------+--------------+--------------+
| GROUPING | CIDR             | IPS TOTAL | IPS IN USE | IPS RESERVED | IPS FREE     |
+----------+------------------+-----------+------------+--------------+--------------+
| IP Pool  | 192.168.0.0/16   |     65536 |     8 (0%) |       0 (0%) | 65528 (100%) |
| Block    | 192.168.185.0/26 |        64 |    8 (12%) |       0 (0%) |     56 (88%) |
+----------+------------------+-----------+------------+--------------+--------------+
`,
    });
  });

  test("prints the same into a pipe, as calicoctl does", async () => {
    const [piped, shown] = [
      await fixtureWorld().run("ipam show"),
      await fixtureWorld({ terminal: onTerminal }).run("ipam show"),
    ];
    expect(piped).toEqual(shown);
  });

  test("counts reserved addresses that nobody has as neither in use nor free", async () => {
    const world = fixtureWorld();
    // 192.168.185.0 is in use; a range within another one counts once; the last is outside of the pool.
    reserve(world, ["192.168.185.0/30", "192.168.185.1/32", "10.0.0.0/8"]);
    expect((await world.run("ipam show --show-blocks")).stdout).toContain(`
| IP Pool  | 192.168.0.0/16   |     65536 |     8 (0%) |       3 (0%) | 65525 (100%) |
| Block    | 192.168.185.0/26 |        64 |    8 (12%) |       3 (5%) |     53 (83%) |
`);
  });

  test("counts a reservation that covers the pool as the whole of it", async () => {
    const world = fixtureWorld();
    reserve(world, ["192.0.0.0/8"]);
    expect((await world.run("ipam show")).stdout).toContain("|     8 (0%) | 65528 (100%) |   0 (0%) |");
  });

  test("lists a block that no pool holds", async () => {
    const world = fixtureWorld();
    put(world, newBlock("10.0.0.0/30", "host:mac-k8s", 1n));
    expect((await world.run("ipam show")).stdout).toContain(
      "| No Pool  | 10.0.0.0/30    |         4 |     0 (0%) |       0 (0%) |     4 (100%) |",
    );
  });

  test("--show-borrowed lists who took an address of whose block", async () => {
    const world = fixtureWorld();
    const attribute = { handle_id: "net.a", secondary: { node: "node-2", namespace: "default", pod: "web-0" } };
    const block = newBlock("192.168.0.0/26", "host:node-1", 1n);
    put(world, withSpec(block, assign(block.spec, 1, attribute, () => false).spec));
    const { stdout } = await world.run("ipam show --show-borrowed");
    expect(stdout.slice(stdout.indexOf("| IP  ") - 1)).toContain(`
| IP          | BORROWING-NODE | BLOCK          | BLOCK OWNER | TYPE | ALLOCATED-TO  |
+-------------+----------------+----------------+-------------+------+---------------+
| 192.168.0.0 | node-2         | 192.168.0.0/26 | node-1      | pod  | default/web-0 |
`);
  });

  test("--ip says who has the address", async () => {
    expect((await fixtureWorld().run("ipam show --ip 192.168.185.0")).stdout).toBe(`\
IP 192.168.185.0 is in use
Handle ID: vxlan-tunnel-addr-mac-k8s
Active Owner Attributes:
  node: mac-k8s
  type: vxlanTunnelAddress
`);
  });

  test.each(["192.168.185.1", "192.168.186.0", "10.0.0.1", "fd00::1"])("--ip %s: not assigned", async (address) => {
    expect(await fixtureWorld().run(`ipam show --ip ${address}`)).toEqual({
      status: 0,
      stdout: `${address} is not assigned\n`,
      stderr: "",
    });
  });

  test("--ip of what is no address is refused as a usage error", async () => {
    expect(await fixtureWorld().run("ipam show --ip 10.0.0.300")).toEqual({
      status: 2,
      stdout: "",
      stderr: 'tortie: cannot show address "10.0.0.300": it is not a valid IP address\n',
    });
  });

  test("--show-configuration lists the settings", async () => {
    expect((await fixtureWorld({ terminal: onTerminal }).run("ipam show --show-configuration")).stdout).toBe(`\
+------------------------------+----------+
| PROPERTY                     | VALUE    |
+------------------------------+----------+
| StrictAffinity               | false    |
| AutoAllocateBlocks           | true     |
| MaxBlocksPerHost             | 0        |
| KubeVirtVMAddressPersistence | Disabled |
| IPCooldownSeconds            | 0        |
+------------------------------+----------+
`);
  });

  test("-o json is exact where the table is not", async () => {
    const world = new World();
    world.write("/var/lib/tortie/ippools/six.json", pool("six", "fd00::/48"));
    expect((await world.run("ipam show")).stdout).toContain(
      "| fd00::/48 | 1.2089e+24 |     0 (0%) |       0 (0%) | 1.2089e+24 (100%) |",
    );
    expect((await world.run("ipam show -o json")).stdout).toContain('"free": 1208925819614629174706176');
    expect((await world.run("ipam show -o yaml")).stdout).toContain("free: 1208925819614629174706176");
  });

  test("leaves a damaged block out and names it on stderr", async () => {
    const world = fixtureWorld();
    world.write("/run/tortie/ipam/blocks/10-0-0-0-26.json", "{");
    const { status, stdout, stderr } = await world.run("ipam show");
    expect({ status, rows: stdout.split("\n").length }).toEqual({ status: 0, rows: 6 });
    expect(stderr).toContain('cannot read IPAMBlock "10-0-0-0-26"');
  });
});

describe("tortie ipam show --map", () => {
  test("draws a cell per block, and rows without any block as one", async () => {
    expect((await fixtureWorld().run("ipam show --map")).stdout).toBe(`\
default-ipv4-ippool  192.168.0.0/16
8 of 65,536 addresses in use; 1,024 blocks of /26, 1 claimed, 0 full
192.168.0.0       ................................
                  (22 rows of unclaimed blocks)
192.168.184.0     ....2...........................
                  (8 rows of unclaimed blocks)

. unclaimed   0-9 this node's, tenths in use   # full
b lent to another node   o another node's   x without an owner
`);
  });

  test("tells owned, full, borrowed from, another node's and unowned blocks apart", async () => {
    const world = new World({ node: "a" });
    world.write("/var/lib/tortie/ippools/p.json", pool("p", "10.0.0.0/27", 30));
    const of = (node: string) => ({ handle_id: `net.${node}`, secondary: { node } });
    const filled = (cidr: string, owner: string, count: number, node: string) => {
      const block = newBlock(cidr, `host:${owner}`, 1n);
      const { affinity, ...spec } = assign(block.spec, count, of(node), () => false).spec;
      put(world, withSpec(block, owner === "" ? spec : { ...spec, affinity: affinity ?? null }));
    };
    filled("10.0.0.0/30", "a", 0, "a");
    filled("10.0.0.4/30", "a", 3, "a");
    filled("10.0.0.8/30", "a", 4, "a");
    filled("10.0.0.12/30", "a", 1, "b");
    filled("10.0.0.16/30", "b", 1, "b");
    filled("10.0.0.20/30", "", 1, "a");
    expect((await world.run("ipam show --map")).stdout.split("\n")[2]).toBe("10.0.0.0      08#box..");
    world.terminal = { isTerminal: true, columns: 80, colours: true };
    expect((await world.run("ipam show --map")).stdout.split("\n")[2]).toBe(
      "10.0.0.0      \x1b[32m▁\x1b[39m\x1b[32m▇\x1b[39m\x1b[31m█\x1b[39m\x1b[33m▃\x1b[39m\x1b[34m▃\x1b[39m\x1b[35m▃\x1b[39m\x1b[90m·\x1b[39m\x1b[90m·\x1b[39m",
    );
  });

  test("shows the claimed blocks alone of a pool that nobody can look at", async () => {
    const world = new World({ node: "a" });
    world.write("/var/lib/tortie/ippools/six.json", pool("six", "fd00::/48"));
    put(world, newBlock("fd00::40/122", "host:a", 1n));
    put(world, newBlock("fd00:0:0:1::/122", "host:a", 1n));
    expect((await world.run("ipam show --map")).stdout.split("\n").slice(0, 3)).toEqual([
      "six  fd00::/48",
      "0 of 2^80 addresses in use; 2^74 blocks of /122, 2 claimed, 0 full",
      "fd00::40          00",
    ]);
  });

  test.each([40, 80, 132, 300])("fits a terminal of %i columns", async (columns) => {
    const world = fixtureWorld({ terminal: { ...onTerminal, columns } });
    const lines = (await world.run("ipam show --map")).stdout.split("\n").slice(2, -3);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(Math.max(columns, 50));
  });
});

describe("formatCount()", () => {
  test.each([
    [64n, "64"],
    [1_048_576n, "1048576"],
    [2n ** 80n, "1.2089e+24"],
    [2n ** 64n, "1.8447e+19"],
    [10n ** 20n, "1e+20"],
  ])("%i is %s", (count, text) => {
    expect(formatCount(count)).toBe(text);
  });
});

describe("percentOf()", () => {
  test.each([
    [8n, 64n, "12"],
    [56n, 64n, "88"],
    [1n, 3n, "33"],
    [2n, 3n, "67"],
    [0n, 0n, "0"],
  ])("%i of %i is %s%%", (part, whole, text) => {
    expect(percentOf(part, whole)).toBe(text);
  });

  test("of a part and the rest is a hundred together, unless both round from beyond the half", () => {
    fc.assert(
      fc.property(fc.bigInt(1n, 10n ** 6n), fc.bigInt(0n, 10n ** 6n), (whole, some) => {
        const part = some % (whole + 1n);
        expect(Number(percentOf(part, whole)) + Number(percentOf(whole - part, whole))).toBe(100);
      }),
    );
  });
});

function reserve(world: World, reservedCIDRs: readonly string[]): void {
  const object = { apiVersion: "v1", kind: "IPReservation", metadata: { name: "r" }, spec: { reservedCIDRs } };
  world.write("/var/lib/tortie/ipreservations/r.json", JSON.stringify(object));
}

function pool(name: string, cidr: string, blockSize?: number): string {
  return JSON.stringify({ apiVersion: "v1", kind: "IPPool", metadata: { name }, spec: { cidr, blockSize } });
}

function put(world: World, block: Block): void {
  world.write(`/run/tortie/ipam/blocks/${block.metadata.name}.json`, formatObject(block));
}

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ownerOf } from "../../../src/identity/attachment.ts";
import { FakeNft } from "../../lib/fake/nft.ts";
import { nftSys } from "../../lib/fake/nft-sys.ts";
import { howMany } from "../../lib/how-many.ts";
import { c1, c2, dns, type Port, portmapOn, resultOf, web } from "./world.ts";

function world() {
  const nft = new FakeNft();
  const files = new Map<string, string>();
  return { nft, files, plugin: portmapOn(nftSys(nft, files)) };
}

const first = resultOf("10.0.0.5/32");
const second = resultOf("10.0.0.6/32");

describe("add()", () => {
  test("puts elements into the maps and an index beside them", () => {
    const { nft, files, plugin } = world();
    expect(plugin.add(c1, [web, { ...dns, hostIP: "192.0.2.1" }], first)).toBe(first);
    expect(nft.print()).toBe(`table ip tortie_portmap {
  map ports
    tcp . 8080 comment "tortie:net1/c1/eth0" : 10.0.0.5 . 80
  map hostip_ports
    192.0.2.1 . udp . 5353 comment "tortie:net1/c1/eth0" : 10.0.0.5 . 53
  set hairpin
    10.0.0.5 . 10.0.0.5 comment "tortie:net1/c1/eth0"
  set localhost
    10.0.0.5 comment "tortie:net1/c1/eth0"
  set owner_net1/c1/eth0 # tortie:net1/c1/eth0
    1 comment "ports tcp . 8080"
    2 comment "hostip_ports 192.0.2.1 . udp . 5353"
    3 comment "hairpin 10.0.0.5 . 10.0.0.5"
    4 comment "localhost 10.0.0.5"
  chain hostports: conditions of one address, ports of one address, conditions of any address, ports of any address
  chain prerouting: to an address of the host
  chain output: to an address of the host
  chain masquerading: a container to itself, the host by its loopback address, every client
  chain guard: 127.0.0.0/8 is for the host alone
}`);
    expect(nft.forgotten).toEqual(["ip udp 5353 to 192.0.2.1"]);
    expect([...files.keys()].filter((path) => !path.startsWith("/run/tortie/parts/"))).toEqual([
      "/proc/sys/net/ipv4/conf/cali1/route_localnet",
    ]);
    expect(files.get("/proc/sys/net/ipv4/conf/cali1/route_localnet")).toBe("1");
  });

  test("takes one transaction, and one look each at the table, at iptables' table nat, at single addresses and at the other family", () => {
    const { nft, plugin } = world();
    plugin.add(c1, [web], first);
    nft.datagrams = 0;
    plugin.add(c2, [{ ...web, hostPort: 8081 }], second);
    expect(nft.datagrams).toBe(5);
  });

  test("none of its transactions is rolled back, whether it is the first host port of a node or the last", () => {
    const { nft, plugin } = world();
    plugin.add(c1, [web], first);
    plugin.add(c2, [dns], second);
    plugin.del(c2);
    plugin.del(c1);
    expect(nft.rolledBack).toBe(0);
  });

  test("without mappings asks the kernel nothing, unless an earlier ADD had some", () => {
    const { nft, plugin } = world();
    expect(plugin.add(c1, [], first)).toBe(first);
    expect(nft.datagrams).toBe(0);
  });

  test.each([
    ["no mappings", []],
    ["mappings of the other family alone", [{ ...web, hostIP: "2001:db8::1" }]],
  ])("again with %s takes the earlier ones away", (_, mappings) => {
    const { nft, plugin } = world();
    plugin.add(c1, [web, { ...web, protocol: "udp" }], first);
    nft.forgotten.length = 0;
    plugin.add(c1, mappings, first);
    expect(nft.print()).toBe("");
    expect(nft.forgotten).toEqual(["ip tcp 8080 answered by 10.0.0.5", "ip udp 8080 answered by 10.0.0.5"]);
  });

  test("again changes nothing", () => {
    const { nft, plugin } = world();
    plugin.add(c1, [web, dns], first);
    const before = nft.print();
    plugin.add(c1, [web, dns], first);
    expect(nft.print()).toBe(before);
    plugin.takeBack();
    expect(nft.print()).toBe(before);
  });

  test("again with other ports replaces the earlier ones", () => {
    const { nft, plugin } = world();
    plugin.add(c1, [web, dns], first);
    plugin.add(c1, [{ ...web, hostPort: 9090 }], first);
    const { nft: fresh, plugin: other } = world();
    other.add(c1, [{ ...web, hostPort: 9090 }], first);
    expect(nft.print()).toBe(fresh.print());
  });

  test("again with another target moves the port", () => {
    const { nft, plugin } = world();
    plugin.add(c1, [web], first);
    plugin.add(c1, [{ ...web, containerPort: 81 }], first);
    expect(nft.print()).toContain("10.0.0.5 . 81");
    expect(nft.print()).not.toContain("10.0.0.5 . 80");
  });

  test("that fails later leaves nothing", () => {
    const { nft, plugin } = world();
    plugin.add(c1, [web], first);
    plugin.takeBack();
    expect(nft.print()).toBe("");
  });

  const taken = 'it is taken by container "c1" (network "net1", interface "eth0")';
  test.each<[string, Port, Port, string | undefined]>([
    ["the same port", web, web, `cannot map host port 8080/tcp: ${taken}`],
    [
      "the same port of the same address",
      at("192.0.2.1"),
      at("192.0.2.1"),
      `cannot map host port 192.0.2.1:8080/tcp: ${taken}`,
    ],
    ["one address where all are taken", web, at("192.0.2.1"), `cannot map host port 192.0.2.1:8080/tcp: ${taken}`],
    ["all addresses where one is taken", at("192.0.2.1"), web, `cannot map host port 8080/tcp: ${taken}`],
    ["another address", at("192.0.2.1"), at("192.0.2.2"), undefined],
    ["another protocol", web, { ...web, protocol: "udp" }, undefined],
    ["another port", web, { ...web, hostPort: 8081 }, undefined],
  ])("%s of another container's: %s %s", (_, ours, theirs, message) => {
    const { nft, plugin } = world();
    plugin.add(c1, [ours], first);
    const before = nft.print();
    if (message === undefined) {
      plugin.add(c2, [theirs], second);
      expect(nft.print()).toContain('comment "tortie:net1/c2/eth0"');
    } else {
      expect(() => plugin.add(c2, [theirs], second)).toThrow(message);
      expect(nft.print()).toBe(before);
    }
  });

  describe("of a container's second network, whose runtime asks for the same ports in each", () => {
    const next = { ...c1, network: "net2" };
    const ports = [web, dns, { ...at("192.0.2.1"), hostPort: 8443 }];

    test("leaves them to the first", () => {
      const { nft, plugin } = world();
      plugin.add(c1, ports, first);
      plugin.add(next, [...ports, { ...web, hostPort: 9090 }], second);
      expect(nft.print()).toContain('tcp . 8080 comment "tortie:net1/c1/eth0" : 10.0.0.5 . 80');
      expect(nft.print()).toContain('tcp . 9090 comment "tortie:net2/c1/eth0" : 10.0.0.6 . 80');
      plugin.check(c1, ports, first);
      plugin.check(next, [...ports, { ...web, hostPort: 9090 }], second);
      plugin.del(c1);
      expect(nft.print()).toContain('tcp . 8080 comment "tortie:net2/c1/eth0" : 10.0.0.6 . 80');
      plugin.check(next, [...ports, { ...web, hostPort: 9090 }], second);
      plugin.del(next);
      expect(nft.print()).toBe("");
    });

    test("takes one of its addresses' port where the first has it at all", () => {
      const { nft, plugin } = world();
      plugin.add(c1, [web], first);
      plugin.add(next, [at("192.0.2.1")], second);
      plugin.check(next, [at("192.0.2.1")], second);
      plugin.del(next);
      plugin.del(c1);
      expect(nft.print()).toBe("");
    });

    test("with all of them at the first needs nothing, and is refused what another container has", () => {
      const { nft, plugin } = world();
      plugin.add(c1, [web], first);
      const before = nft.print();
      plugin.add(next, [web], second);
      expect(nft.print().replace(/^.*(net2|10\.0\.0\.6|map waiting).*\n/gm, "")).toBe(before);
      plugin.add(c2, [dns], resultOf("10.0.0.7/32"));
      expect(() => plugin.add(next, [web, dns], second)).toThrow('5353/udp: it is taken by container "c2"');
    });
  });

  test("removes what a missed DEL left at the container's own address", () => {
    const { nft, plugin } = world();
    plugin.add(c1, [web], first);
    plugin.add(c2, [web], first);
    expect(nft.print()).not.toContain("c1");
    plugin.del(c1);
    expect(nft.print()).toContain('tcp . 8080 comment "tortie:net1/c2/eth0"');
  });

  test("keeps conditions in a chain that lives as long as elements lead to it", () => {
    const { nft, plugin } = world();
    const extra = { conditionsV4: ["ip", "saddr", "!=", "192.0.2.9"] };
    plugin.add(c1, [web], first, extra);
    plugin.add(c2, [dns], second, extra);
    expect(nft.print().match(/tcp \. 8080 comment "[^"]*" : jump (conditions_[0-9a-f]{12})/)).not.toBeNull();
    expect(nft.print().match(/chain conditions_/g)).toHaveLength(1);
    plugin.del(c1);
    expect(nft.print().match(/chain conditions_/g)).toHaveLength(1);
    plugin.del(c2);
    expect(nft.print()).toBe("");
  });

  test("loses a race for the table and finds it made", () => {
    const { nft, plugin } = world();
    const rival = portmapOn(nftSys(nft));
    nft.before = () => void rival.add(c2, [dns], second);
    plugin.add(c1, [web], first);
    expect(nft.print()).toContain("set owner_net1/c1/eth0");
    expect(nft.print()).toContain("set owner_net1/c2/eth0");
  });

  test("an owner too long for a comment keeps its own elements", () => {
    const { nft, plugin } = world();
    const long = { ...c1, containerId: "x".repeat(150) };
    plugin.add(long, [web], first);
    plugin.add(c2, [dns], second);
    plugin.del(long);
    expect(nft.print()).not.toContain("xxx");
    expect(nft.print()).toContain(ownerOf(c2));
  });
});

describe("check()", () => {
  test("confirms what add() made", () => {
    const { plugin } = world();
    plugin.add(c1, [web, dns], first);
    expect(() => plugin.check(c1, [web, dns], first)).not.toThrow();
  });

  test("names what is missing and what leads elsewhere", () => {
    const { plugin } = world();
    plugin.add(c1, [web], first);
    expect(() => plugin.check(c1, [{ ...web, containerPort: 81 }, dns], first)).toThrow(
      'cannot confirm the port mappings of "eth0": element { tcp . 8080 } of ip tortie_portmap ports maps to another target; ' +
        "element { udp . 5353 } of ip tortie_portmap ports is missing",
    );
  });

  test("names the table", () => {
    const { plugin } = world();
    expect(() => plugin.check(c1, [web], first)).toThrow("table ip tortie_portmap is missing");
  });
});

describe("del()", () => {
  test("leaves the others', and the table goes with the last", () => {
    const { nft, plugin } = world();
    plugin.add(c1, [web], first);
    plugin.add(c2, [dns], second);
    plugin.del(c1);
    expect(nft.print()).toContain("udp . 5353");
    expect(nft.print()).not.toContain("c1");
    plugin.del(c2);
    expect(nft.print()).toBe("");
    plugin.del(c2);
  });

  test("does not take the table from an ADD that comes between the look and the removal", () => {
    const { nft, plugin } = world();
    const rival = portmapOn(nftSys(nft));
    plugin.add(c1, [web], first);
    nft.before = () => {
      nft.before = () => void rival.add(c2, [dns], second);
    };
    plugin.del(c1);
    expect(nft.print()).toContain("set owner_net1/c2/eth0");
  });

  test("other interfaces of the container keep theirs", () => {
    const { nft, plugin } = world();
    plugin.add(c1, [web], first);
    plugin.add({ ...c1, ifname: "net1" }, [dns], {
      interfaces: [{ name: "cali1" }, { name: "net1", sandbox: "/run/netns/x" }],
      ips: [{ address: "10.0.0.7/32", interface: 1 }],
    });
    plugin.del(c1);
    expect(nft.print()).toContain("owner_net1/c1/net1");
  });
});

test("gc() removes stale attachments of the network only", () => {
  const { nft, plugin } = world();
  plugin.add(c1, [web], first);
  plugin.add(c2, [dns], second);
  plugin.add({ ...c1, network: "net10" }, [{ ...web, hostPort: 1 }], resultOf("10.0.0.9/32"));
  plugin.gc("net1", [c2]);
  expect(nft.print().match(/set owner_\S+/g)).toEqual(["set owner_net1/c2/eth0", "set owner_net10/c1/eth0"]);
});

test("gc() removes a table left by a DEL that was killed between its two transactions", () => {
  const { nft, plugin } = world();
  plugin.add(c1, [web], first);
  nft.before = () => {
    nft.before = () => {
      throw new Error("killed");
    };
  };
  expect(() => plugin.del(c1)).toThrow("killed");
  expect(nft.print()).toContain("table ip tortie_portmap");
  plugin.del(c1);
  plugin.gc("net1", []);
  expect(nft.print()).toBe("");
});

test("portmap: any sequence of ADD, CHECK, DEL and GC keeps the kernel equal to a model", () => {
  const step = fc.record({
    op: fc.constantFrom("add", "add", "check", "del", "gc"),
    who: fc.integer({ min: 0, max: 4 }),
    ports: fc.uniqueArray(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 3 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const { nft, plugin } = world();
      const has = new Map<number, readonly number[]>();
      for (const { op, who, ports } of steps) {
        const attachment = { ...c1, containerId: `w${who}` };
        const result = resultOf(`10.0.0.${who + 10}/32`);
        const list = (numbers: readonly number[]): Port[] => numbers.map((hostPort) => ({ ...web, hostPort }));
        if (op === "add") {
          const free = [...has].every(
            ([other, theirs]) => other === who || !theirs.some((port) => ports.includes(port)),
          );
          if (free) {
            plugin.add(attachment, list(ports), result);
            has.set(who, ports);
          } else expect(() => plugin.add(attachment, list(ports), result)).toThrow("it is taken by container");
        } else if (op === "check") {
          const own = has.get(who);
          if (own) plugin.check(attachment, list(own), result);
          else expect(() => plugin.check(attachment, list(ports), result)).toThrow("is missing");
        } else if (op === "del") {
          plugin.del(attachment);
          has.delete(who);
        } else {
          plugin.gc(
            "net1",
            [...has.keys()].filter((one) => one !== who).map((one) => ({ containerId: `w${one}`, ifname: "eth0" })),
          );
          has.delete(who);
        }
        const held = [...nft.print().matchAll(/tcp \. (\d+) comment "tortie:net1\/w(\d)/g)].map(
          ([, port, one]) => `${one} ${port}`,
        );
        expect(held.sort()).toEqual([...has].flatMap(([one, theirs]) => theirs.map((port) => `${one} ${port}`)).sort());
        if (has.size === 0) expect(nft.print()).toBe("");
      }
    }),
    { numRuns: howMany(60) },
  );
});

function at(hostIP: string): Port {
  return { ...web, hostIP };
}

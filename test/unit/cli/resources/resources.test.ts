import { describe, expect, test } from "vitest";
import { parseDocuments } from "../../../../src/cli/resources/document-text.ts";
import { writeEndpoint } from "../../../../src/endpoint/endpoint.ts";
import { autoAssign } from "../../../../src/ipam/assign/assign.ts";
import { type Block, newBlock } from "../../../../src/ipam/model/block.ts";
import { decodePool } from "../../../../src/ipam/model/pool.ts";
import { releaseByHandle } from "../../../../src/ipam/release/release.ts";
import { formatObject } from "../../../../src/store/file/layout.ts";
import { parseJson, stringifyJson } from "../../../../src/store/json.ts";
import type { StoredObject } from "../../../../src/store/object.ts";
import { fixture, fixtureWorld, World } from "../world.ts";

const poolPath = "/var/lib/tortie/ippools/default-ipv4-ippool.json";

describe("tortie get", () => {
  test.each([
    [
      "ippools",
      `\
NAME                  CIDR             SELECTOR   
default-ipv4-ippool   192.168.0.0/16   all()      

`,
    ],
    [
      "IPPool -o wide",
      `\
NAME                  CIDR             NAT    IPIPMODE   VXLANMODE     DISABLED   DISABLEBGPEXPORT   SELECTOR   ASSIGNMENTMODE   
default-ipv4-ippool   192.168.0.0/16   true   Never      CrossSubnet   false      false              all()      Automatic        

`,
    ],
    [
      "ipamblock -o wide",
      `\
NAME               CIDR               AFFINITY       IN USE   FREE   SEQUENCE              
192-168-185-0-26   192.168.185.0/26   host:mac-k8s   8        56     1690113884806720498   

`,
    ],
    ["ipamhandles", "NAME   BLOCKS   \n\n"],
    ["wep", "NAMESPACE   WORKLOAD   NODE   NETWORKS   INTERFACE   \n\n"],
  ])("%s prints a table", async (args, stdout) => {
    expect(await fixtureWorld().run(`get ${args}`)).toEqual({ status: 0, stdout, stderr: "" });
  });

  test.each(["json", "yaml"])("-o %s of the fixture's block loses nothing, sequence numbers exact", async (format) => {
    const { stdout } = await fixtureWorld().run(`get ipamblock 192-168-185-0-26 -o ${format}`);
    const [document] = parseDocuments(stdout);
    expect(document).toEqual(parseJson(fixture("ipamblock-192-168-185-0-26.after.json")));
    expect(stdout).toContain("1690113884806720498");
  });

  test.each(["json", "yaml"])("-o %s can be given to apply, which changes nothing", async (format) => {
    const world = fixtureWorld();
    const before = world.machine.files.print();
    for (const kind of ["ippool", "ipamblock"]) {
      const { stdout } = await world.run(`get ${kind} -o ${format}`);
      expect((await world.run("apply -f -", stdout)).stdout).toMatch(/^\w+ "\S+" unchanged\n$/);
    }
    expect(world.machine.files.print().replace("/run/tortie/ipam.lock: \n", "")).toBe(before);
  });

  test("names what is not there and ends with 1", async () => {
    const { status, stderr } = await fixtureWorld().run("get ippool default-ipv4-ippool other");
    expect({ status, stderr }).toEqual({ status: 1, stderr: 'tortie: cannot get IPPool "other": there is none\n' });
  });

  test("shows nothing, and no head of a table either, when all names are missing, and suggests a name", async () => {
    for (const output of ["", " -o yaml", " -o name"]) {
      expect(await fixtureWorld().run(`get ippool default-ipv4-ipool${output}`)).toEqual({
        status: 1,
        stdout: "",
        stderr: 'tortie: cannot get IPPool "default-ipv4-ipool": there is none (did you mean "default-ipv4-ippool"?)\n',
      });
    }
  });

  test("of an unknown kind is a usage error", async () => {
    expect(await fixtureWorld().run("get pods")).toMatchObject({ status: 2, stdout: "" });
  });
});

describe("tortie apply, create, replace", () => {
  test("create takes Calico's own block", async () => {
    const outcome = await new World().run("create -f -", fixture("ipamblock-192-168-185-0-26.after.json"));
    expect(outcome).toEqual({ status: 0, stdout: 'IPAMBlock "192-168-185-0-26" created\n', stderr: "" });
  });

  test("create writes Calico's defaults into a new pool", async () => {
    const world = new World();
    expect(await world.run("create -f -", pool("a", { cidr: "10.0.0.0/16" }))).toEqual({
      status: 0,
      stdout: 'IPPool "a" created\n',
      stderr: "",
    });
    expect(world.object("IPPool", "a")?.spec).toEqual({
      cidr: "10.0.0.0/16",
      blockSize: 26,
      ipipMode: "Never",
      vxlanMode: "Never",
      allowedUses: ["Workload", "Tunnel"],
      nodeSelector: "all()",
      assignmentMode: "Automatic",
    });
  });

  test("a pool that was created gives addresses", async () => {
    const world = new World();
    await world.run("create -f -", pool("six", { cidr: "fd00:1::/64" }));
    const pools = { pools: [decodePool(world.object("IPPool", "six") as StoredObject)], faults: [] };
    const wanted = [{ family: 6 as const, pools: [], count: 1 }];
    const [assigned] = world.drive(
      autoAssign({ handleId: "net.a", node: "mac-k8s", attributes: {}, now: 1n, pools, wanted }),
    );
    expect(assigned?.address).toMatch(/^fd00:1:/);
  });

  test("takes several documents, and writes none when one is wrong", async () => {
    const world = new World();
    const documents = [pool("a", { cidr: "10.0.0.0/16" }), pool("b", { cidr: "10.0.128.0/24" })].join("\n---\n");
    expect(await world.run("apply -f -", documents)).toEqual({
      status: 1,
      stdout: "",
      stderr: 'tortie: cannot apply IPPool "b": its cidr 10.0.128.0/24 overlaps with that of IPPool "a", 10.0.0.0/16\n',
    });
    expect(world.object("IPPool", "a")).toBeUndefined();
  });

  test("--dry-run tells the same and writes nothing", async () => {
    const world = fixtureWorld();
    const before = world.machine.files.print();
    const document = pool("default-ipv4-ippool", { cidr: "192.168.0.0/16", disabled: true });
    const { stdout } = await world.run("apply --dry-run -f -", document);
    expect(stdout).toBe('IPPool "default-ipv4-ippool" updated (dry run)\n');
    expect(world.machine.files.print()).toBe(before);
  });

  test.each([{}, { natOutgoing: true }, { disabled: false, blockSize: 28 }])(
    "a second, identical apply says unchanged: %j",
    async (more) => {
      const world = new World();
      const document = pool("a", { cidr: "10.0.0.0/16", ...more });
      expect((await world.run("apply -f -", document)).stdout).toBe('IPPool "a" created\n');
      const before = world.object("IPPool", "a");
      for (const verb of ["apply", "replace"]) {
        expect((await world.run(`${verb} -f -`, document)).stdout).toBe('IPPool "a" unchanged\n');
      }
      expect(world.object("IPPool", "a")).toEqual(before);
    },
  );

  test("keeps identity and block size of what is there", async () => {
    const world = fixtureWorld();
    await world.run("apply -f -", pool("default-ipv4-ippool", { cidr: "192.168.0.0/16", disabled: true }));
    const { metadata, spec } = world.object("IPPool", "default-ipv4-ippool") as StoredObject;
    expect(metadata).toMatchObject({ uid: "ea36eb56-7eed-473f-97c8-4d6c8f77c963", resourceVersion: "1601" });
    expect(spec).toEqual({ cidr: "192.168.0.0/16", disabled: true, blockSize: 26 });
  });

  test.each([
    ["create", "default-ipv4-ippool", "it exists already; use apply or replace"],
    ["replace", "other", "it does not exist; use apply or create"],
  ])("%s of %s is refused: %s", async (verb, name, reason) => {
    const { status, stderr } = await fixtureWorld().run(`${verb} -f -`, pool(name, { cidr: "192.168.0.0/16" }));
    expect({ status, stderr }).toEqual({ status: 1, stderr: `tortie: cannot ${verb} IPPool "${name}": ${reason}\n` });
  });

  test("refuses what was changed since it was got", async () => {
    const document = fixture("ippool-default-ipv4.json").replace('"1600"', '"1599"');
    expect((await fixtureWorld().run("apply -f -", document)).stderr).toContain(
      "it was changed: its resourceVersion is 1600, and 1599 was sent; get it again",
    );
  });

  test("reads a file, and says so when there is none", async () => {
    const world = new World();
    world.write(
      "/tmp/pool.yaml",
      "apiVersion: projectcalico.org/v3\nkind: IPPool\nmetadata: {name: a}\nspec: {cidr: 10.0.0.0/16}\n",
    );
    expect((await world.run("apply -f /tmp/pool.yaml")).stdout).toBe('IPPool "a" created\n');
    expect((await world.run("apply -f /tmp/none.yaml")).stderr).toMatch(/^tortie: cannot read "\/tmp\/none.yaml": /);
  });

  test.each([
    ["", "it contains no resource"],
    ["[1]", "it is not an object"],
    ["a: [", "Flow sequence in block collection must be"],
    ["{kind: Pod, apiVersion: v1, metadata: {name: a}, spec: {}}", 'its kind is "Pod"; wanted one of IPPool'],
    [
      "{kind: IPpool, apiVersion: v1, metadata: {name: a}, spec: {}}",
      'its kind is "IPpool" (did you mean "IPPool"?); wanted',
    ],
    [
      "{kind: StagedNetworkPolicy, apiVersion: v1, metadata: {name: a}}",
      '"StagedNetworkPolicy": Tortie enforces no network policy; wanted',
    ],
    ["{apiVersion: v1, metadata: {name: a}}", "it has no kind; wanted one of"],
    ["{kind: IPPool, apiVersion: v1, metadata: {}, spec: {}}", "it has no metadata.name"],
    ["{kind: IPPool, apiVersion: v1, metadata: {name: a}}", 'IPPool "a" has no spec'],
  ])("refuses %j: %s", async (text, reason) => {
    const { status, stderr } = await new World().run("apply -f -", text);
    expect(status).toBe(1);
    expect(stderr).toContain("tortie: cannot read ");
    expect(stderr).toContain(reason);
  });
});

describe("tortie validate", () => {
  test.each<[string, object, string]>([
    ["no cidr", {}, "spec.cidr is missing"],
    [
      "bits beyond the length",
      { cidr: "10.0.0.1/16" },
      'spec.cidr: has host bits or is not in canonical form; write "10.0.0.0/16"',
    ],
    ["a small block size", { cidr: "10.0.0.0/16", blockSize: 19 }, "its spec.blockSize is 19, want 20 to 32"],
    ["a large block size", { cidr: "fd00::/64", blockSize: 129 }, "its spec.blockSize is 129, want 116 to 128"],
    ["a pool smaller than a block", { cidr: "10.0.0.0/28" }, "want room for a block of /26"],
    ["overlap", { cidr: "192.168.4.0/24" }, 'overlaps with that of IPPool "default-ipv4-ippool", 192.168.0.0/16'],
    ["link-local", { cidr: "169.254.0.0/20" }, "overlaps with link-local 169.254.0.0/16"],
    ["link-local IPv6", { cidr: "fe80::/64" }, "overlaps with link-local fe80::/10"],
    [
      "IPIP",
      { cidr: "10.0.0.0/16", ipipMode: "Always" },
      "its ipipMode is Always, but only nodes of a cluster have tunnels",
    ],
    [
      "VXLAN",
      { cidr: "fd00::/64", vxlanMode: "CrossSubnet" },
      "its vxlanMode is CrossSubnet, but only nodes of a cluster have tunnels",
    ],
    ["a mode in lower case", { cidr: "10.0.0.0/16", vxlanMode: "never" }, 'not "never" (did you mean "Never"?)'],
    [
      "text for a switch",
      { cidr: "10.0.0.0/16", natOutgoing: "yes" },
      'spec.natOutgoing must be true or false, not "yes"',
    ],
    [
      "LoadBalancer with others",
      { cidr: "10.0.0.0/16", allowedUses: ["LoadBalancer", "Workload"] },
      "its allowedUses contain LoadBalancer, which excludes Workload",
    ],
    [
      "LoadBalancer with a selector",
      { cidr: "10.0.0.0/16", allowedUses: ["LoadBalancer"], nodeSelector: "has(a)" },
      'LoadBalancer requires nodeSelector "all()", not "has(a)"',
    ],
    [
      "Tunnel with a namespace selector",
      { cidr: "10.0.0.0/16", namespaceSelector: "has(a)" },
      'its allowedUses contain Tunnel, but its namespaceSelector is "has(a)"',
    ],
    [
      "global()",
      { cidr: "10.0.0.0/16", nodeSelector: "global()" },
      "its nodeSelector contains global(), which a pool must not use",
    ],
    [
      "a use that is none",
      { cidr: "10.0.0.0/16", allowedUses: ["Pods"] },
      'spec.allowedUses[0] must be "Workload", "Tunnel" or "LoadBalancer", not "Pods"',
    ],
    ["blocks of another size", { cidr: "172.16.0.0/16" }, "differs from that of the block 172.16.0.0/28 in its range"],
  ])("refuses a pool with %s", async (_, spec, reason) => {
    const world = fixtureWorld();
    put(world, newBlock("172.16.0.0/28", "host:mac-k8s", 1n));
    const { status, stdout, stderr } = await world.run("validate -f -", pool("a", spec));
    expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
    expect(stderr).toMatch(/^tortie: cannot validate IPPool "a": /);
    expect(stderr).toContain(reason);
  });

  test.each([
    [{ cidr: "192.168.0.0/15" }, "its cidr cannot be changed: it is 192.168.0.0/16"],
    [{ cidr: "192.168.0.0/16", blockSize: 27 }, "its blockSize cannot be changed: it is 26, and 27 was requested"],
  ])("refuses to change a pool to %j", async (spec, reason) => {
    const { stderr } = await fixtureWorld().run("validate -f -", pool("default-ipv4-ippool", spec));
    expect(stderr).toContain(reason);
  });

  test.each<[string, object, string]>([
    ["IPAMConfig", { strictAffinity: false, autoAllocateBlocks: false }, "at the same time"],
    ["IPAMConfig", { strictAffinity: false, maxBlocksPerHost: 2 }, "maxBlocksPerHost requires strictAffinity"],
    ["IPAMConfig", { ipCooldownSeconds: 1201 }, "spec.ipCooldownSeconds: too big"],
    ["IPAMConfig", {}, 'metadata.name: must be "default"'],
    ["IPReservation", { reservedCIDRs: ["10.0.0.1"] }, "spec.reservedCIDRs[0]: is not a CIDR like 10.0.0.0/16"],
    ["IPAMHandle", { handleID: "net.a", block: {} }, 'metadata.name: must be "net.a"'],
    [
      "BlockAffinity",
      { cidr: "10.0.0.0/26", node: "n", state: "confirmed", deleted: "false" },
      'must be "n-10-0-0-0-26"',
    ],
    ["WorkloadEndpoint", { ipNetworks: ["10.0.0.1/32"] }, "spec.containerID is missing"],
  ])("refuses %s %j: %s", async (kind, spec, reason) => {
    const document = JSON.stringify({ apiVersion: "projectcalico.org/v3", kind, metadata: { name: "odd" }, spec });
    const { status, stderr } = await new World().run("validate -f -", document);
    expect(status).toBe(1);
    expect(stderr).toContain(reason);
  });

  test.each([
    [(block: Block) => ({ ...block.spec, unallocated: [0] }), "ordinal"],
    [(block: Block) => ({ ...block.spec, cidr: "192.168.185.0/27" }), 'metadata.name: must be "192-168-185-0-27"'],
  ])("refuses a broken block (%#)", async (broken, reason) => {
    const block = parseJson(fixture("ipamblock-192-168-185-0-26.after.json")) as Block;
    const { stderr } = await new World().run("validate -f -", stringifyJson({ ...block, spec: broken(block) }));
    expect(stderr).toContain('cannot validate IPAMBlock "192-168-185-0-26": ');
    expect(stderr).toContain(reason);
  });

  test("accepts what is right, and writes nothing", async () => {
    const world = new World();
    const before = world.machine.files.print();
    expect((await world.run("validate -f -", pool("a", { cidr: "10.0.0.0/16" }))).stdout).toBe('IPPool "a" valid\n');
    expect(world.machine.files.print()).toBe(before);
  });
});

describe("tortie delete", () => {
  test("of a pool with addresses in use is refused, and with --force leaves its blocks without an owner", async () => {
    const world = fixtureWorld();
    expect(await world.run("delete ippool default-ipv4-ippool")).toEqual({
      status: 1,
      stdout: "",
      stderr: 'tortie: cannot delete IPPool "default-ipv4-ippool": 8 of its addresses are in use (pass --force)\n',
    });
    expect((await world.run("delete ippool default-ipv4-ippool --force")).stdout).toBe(
      'IPPool "default-ipv4-ippool" deleted, 1 affinity released\n',
    );
    expect(world.sys.stat(poolPath)).toBeUndefined();
    expect((world.object("IPAMBlock", "192-168-185-0-26") as Block).spec.affinity).toBeUndefined();
  });

  test("of an unused pool removes its blocks, affinities and hints", async () => {
    const world = new World();
    await world.run("create -f -", pool("a", { cidr: "10.0.0.0/16" }));
    const pools = { pools: [decodePool(world.object("IPPool", "a") as StoredObject)], faults: [] };
    const wanted = [{ family: 4 as const, pools: [], count: 1 }];
    world.drive(autoAssign({ handleId: "net.a", node: "mac-k8s", attributes: {}, now: 1n, pools, wanted }));
    world.drive(releaseByHandle("net.a"));
    expect(world.machine.files.print()).toMatch(/affinities\/mac-k8s-10.*blocks\/10-.*cursors\/mac-k8s-10/s);
    expect((await world.run("delete ippool a")).stdout).toBe('IPPool "a" deleted, 1 affinity released\n');
    expect(world.machine.files.print()).not.toMatch(/blocks\/10|mac-k8s-10/);
  });

  test("takes names from a file", async () => {
    const world = fixtureWorld();
    const { stdout } = await world.run("delete --force -f -", fixture("ippool-default-ipv4.json"));
    expect(stdout).toContain('IPPool "default-ipv4-ippool" deleted');
  });

  test.each([
    ["delete ippool none", 1, 'cannot delete IPPool "none": there is none'],
    ["delete ippool", 2, "wanted a kind and names, or -f with a file"],
    ["delete ipamblock 192-168-185-0-26", 1, "8 of its addresses are in use (pass --force)"],
  ])("%s: refused", async (line, status, reason) => {
    const outcome = await fixtureWorld().run(line);
    expect(outcome.status).toBe(status);
    expect(outcome.stderr).toContain(reason);
  });
});

function pool(name: string, spec: object): string {
  return JSON.stringify({ apiVersion: "projectcalico.org/v3", kind: "IPPool", metadata: { name }, spec });
}

function put(world: World, block: Block): void {
  world.write(`/run/tortie/ipam/blocks/${block.metadata.name}.json`, formatObject(block));
}

describe("tortie apply, get: a damaged file", () => {
  const path = "/var/lib/tortie/ippools/blue.json";
  const document = pool("blue", { cidr: "10.77.0.0/24" });
  const aside = (world: World) => world.machine.files.paths().filter((one) => one.startsWith(`${path}.damaged-`));

  test.each(["{", "", '{"kind": "IPPool"}', "[]"])(
    "%j is replaced by apply --force alone, and kept beside",
    async (text) => {
      for (const verb of ["apply", "replace"]) {
        const world = new World().withNode();
        world.write(path, text);
        const refused = await world.run(`${verb} -f -`, document);
        expect(refused).toMatchObject({ status: 1, stdout: "" });
        expect(refused.stderr).toMatch(/; apply --force moves that file aside and writes a new one\n$/);
        expect((await world.run(`${verb} --force --dry-run -f -`, document)).stdout).toContain("(dry run)");
        expect([world.machine.files.read(path), aside(world)]).toEqual([text, []]);
        expect(await world.run(`${verb} --force -f -`, document)).toEqual({
          status: 0,
          stdout: 'IPPool "blue" created, and the damaged file is kept beside its place\n',
          stderr: "",
        });
        expect(world.object("IPPool", "blue")?.spec).toMatchObject({ cidr: "10.77.0.0/24", blockSize: 26 });
        expect(aside(world).map((one) => world.machine.files.read(one))).toEqual([text]);
        expect((await world.run(`${verb} --force -f -`, document)).stdout).toBe('IPPool "blue" unchanged\n');
      }
    },
  );

  test("is taken away by delete --force alone, and kept beside", async () => {
    const world = new World();
    world.write(path, "{");
    expect((await world.run("delete ippool blue")).stderr).toMatch(
      /; --force takes that file out of its place, and keeps it beside\n$/,
    );
    expect((await world.run("delete ippool blue --force")).stdout).toBe(
      'IPPool "blue" deleted, and the damaged file is kept beside its place\n',
    );
    expect(world.object("IPPool", "blue")).toBeUndefined();
    expect(aside(world)).toHaveLength(1);
  });

  test("is not created over", async () => {
    const world = new World();
    world.write(path, "{");
    expect(await world.run("create -f -", document)).toMatchObject({ status: 1, stdout: "" });
  });
});

describe("tortie get workloadendpoint <pod>", () => {
  function withEndpoints(): World {
    const world = new World().withNode();
    for (const [index, ifname] of ["eth0", "net1"].entries()) {
      writeEndpoint(world.sys, {
        attachment: { network: "net", containerId: "web-0a", ifname },
        pod: { namespace: "default", name: "web-0" },
        node: "node-a",
        hostInterface: `cali${index}`,
        addresses: [`10.0.0.${index}/32`],
        gateways: [],
        mac: "ee:ee:ee:ee:ee:ee",
        netns: "/run/netns/web",
      } as never);
    }
    return world;
  }

  test.each(["wep web-0", "wep default/web-0"])("is found: get %s", async (words) => {
    const { status, stdout } = await withEndpoints().run(`get ${words}`);
    expect(status).toBe(0);
    expect(stdout.match(/^default +web-0 /gm)).toHaveLength(2);
  });

  test("is not deleted, for a pod may have several; they are named", async () => {
    expect((await withEndpoints().run("delete wep web-0 --force")).stderr).toMatch(
      /: it is a pod's name; its endpoints are default\/\S+-eth0, default\/\S+-net1\n$/,
    );
  });
});

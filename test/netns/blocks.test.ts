/** Packets to unused addresses of the node's blocks end on the node, and after the last pod the node is unchanged. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Conflist, loadConflist } from "../lib/conflist.ts";
import { leaks } from "../lib/node/kept.ts";
import { Node } from "../lib/node/netns.ts";
import { diff, snapshot } from "../lib/node/snapshot.ts";
import { ping } from "../lib/node/traffic.ts";
import { type CniResult, Runner, type Sandbox } from "../lib/runtimes/runner.ts";
import { example, pluginDirs, requireBuild } from "../lib/suite.ts";

const list = loadConflist(example("10-calico-dual-stack.conflist"));
let node: Node;
let runner: Runner;

beforeEach(async () => {
  requireBuild();
  node = await Node.start();
  runner = new Runner({ node, pluginDirs });
});

afterEach(async () => {
  await node?.stop();
});

function newPod(name: string): Sandbox {
  return { containerId: name, netns: node.addPod(name), ifname: "eth0" };
}

function add(name: string, chain: Conflist = list): Sandbox & { readonly result: CniResult } {
  const sandbox = newPod(name);
  return { ...sandbox, result: runner.add(chain, sandbox) };
}

function blockRoutes(): readonly string[] {
  const text = node.sh("ip route show type blackhole proto 80; ip -6 route show type blackhole proto 80");
  return text.split("\n").flatMap((line) => /^blackhole (\S+)/.exec(line)?.[1] ?? []);
}

/** A pool with blocks of that size, and a conflist that uses it. */
function withPool(cidr: string, blockSize: number): Conflist {
  const [name, v6] = [`pool-${blockSize}`, cidr.includes(":")];
  const pool = {
    apiVersion: "crd.projectcalico.org/v1",
    kind: "IPPool",
    metadata: { name },
    spec: { cidr, blockSize },
  };
  node.sh(`mkdir -p /var/lib/tortie/ippools; cat > /var/lib/tortie/ippools/${name}.json`, {
    stdin: JSON.stringify(pool),
  });
  const ipam = {
    type: "calico-ipam",
    assign_ipv4: `${!v6}`,
    assign_ipv6: `${v6}`,
    [v6 ? "ipv6_pools" : "ipv4_pools"]: [cidr],
  };
  return { ...list, plugins: list.plugins.map((plugin) => (plugin.type === "calico" ? { ...plugin, ipam } : plugin)) };
}

/** The number of packets to the address that arrive outside, of those that a pod and the node send. */
function arrivedOutside(address: string): number {
  const family = address.includes(":") ? "ip6" : "ip";
  node.sh(
    `nft "add table inet t; add chain inet t c { type filter hook prerouting priority -300; }; add rule inet t c iifname uplink ${family} daddr ${address} counter"`,
    { in: "outside" },
  );
  const send = ["ping", "-n", "-c", "2", "-i", "0.1", "-W", "1", address];
  for (const where of [{ in: "a" }, {}]) node.run(send, where);
  const packets = /packets (\d+)/.exec(
    node.sh("nft list table inet t; nft delete table inet t", { in: "outside" }),
  )?.[1];
  return Number(packets);
}

test("calico adds one route per block and family, whatever the number of pods, and the last DEL removes it", () => {
  const clean = snapshot(node);
  const pods = ["a", "b", "c"].map((name) => add(name));
  const [v4 = "", v6 = ""] = blockRoutes();
  expect(blockRoutes()).toHaveLength(2);
  expect([v4, v6]).toEqual([expect.stringMatching(/\/26$/), expect.stringMatching(/\/122$/)]);
  // The last address of each block, which no pod has.
  for (const free of [lastOf(v4), lastOf6(v6)]) expect([free, arrivedOutside(free)]).toEqual([free, 0]);
  // Proves that the counter works.
  expect(arrivedOutside("198.51.100.7")).toBe(4);
  for (const { result } of pods) {
    for (const { address } of result.ips ?? []) expect(ping(node, undefined, address.replace(/\/.*/, ""))).toBe(true);
  }
  for (const pod of pods) {
    expect(blockRoutes()).toHaveLength(2);
    runner.check(list, pod);
    runner.del(list, pod);
  }
  expect(blockRoutes()).toEqual([]);
  expect(leaks(diff(clean, snapshot(node)))).toEqual([]);
});

function lastOf(block: string): string {
  return block.replace(/(\d+)\/26$/, (_, first) => `${Number(first) + 63}`);
}

function lastOf6(block: string): string {
  return block.replace(/([0-9a-f]*)\/122$/, (_, first) => (Number.parseInt(first || "0", 16) + 63).toString(16));
}

test.each([
  ["10.66.0.0/24", 32],
  ["fd66::/112", 128],
])("a block of one address (%s in /%i) has none: it would be in its pod's way", (cidr, size) => {
  const chain = withPool(cidr, size);
  const pod = add("a", chain);
  expect(blockRoutes()).toEqual([]);
  expect(ping(node, undefined, (pod.result.ips?.[0]?.address ?? "").replace(/\/.*/, ""))).toBe(true);
  runner.check(chain, pod);
  runner.del(chain, pod);
});

test("calico adds no route for a block within a network of the node, and the node still reaches its neighbours there", () => {
  node.sh("ip address add 10.66.0.2/16 dev uplink");
  node.sh("ip address add 10.66.7.60/16 dev uplink", { in: "outside" });
  const chain = withPool("10.66.7.0/26", 26);
  const pod = add("a", chain);
  expect(blockRoutes()).toEqual([]);
  expect(ping(node, undefined, "10.66.7.60")).toBe(true);
  runner.check(chain, pod);
  runner.add(chain, pod);
  runner.gc(chain, [pod]);
  expect(blockRoutes()).toEqual([]);
  runner.del(chain, pod);
});

test("calico DEL removes a block's route after the pool and the block were deleted", () => {
  const chain = withPool("10.66.0.0/24", 28);
  const pod = add("a", chain);
  expect(blockRoutes()).toEqual([expect.stringMatching(/^10\.66\.0\.\d+\/28$/)]);
  node.sh("rm /var/lib/tortie/ippools/*.json /run/tortie/ipam/blocks/*.json");
  runner.del(chain, pod);
  expect(blockRoutes()).toEqual([]);
});

test("calico accepts a foreign route to the block and leaves it alone", () => {
  const first = add("a");
  const [block = ""] = blockRoutes();
  runner.del(list, first);
  node.sh(`ip route add unreachable ${block} proto bird`);
  const second = add("b");
  runner.check(list, second);
  runner.del(list, second);
  expect(node.sh(`ip route show ${block}`)).toContain(`unreachable ${block} proto bird`);
});

test("calico ADD restores a block's route that was deleted, for the same pod or another", () => {
  const pod = add("a");
  const both = blockRoutes();
  for (const next of [() => void runner.add(list, pod), () => void add("b")]) {
    for (const block of both) node.sh(`ip route del blackhole ${block} proto 80`);
    next();
    expect(blockRoutes()).toEqual(both);
  }
});

test("calico CHECK names a missing block route, and GC restores it and removes one that a killed DEL left", () => {
  const pod = add("a");
  const [block = ""] = blockRoutes();
  node.sh(`ip route del blackhole ${block} proto 80`);
  expect(() => runner.check(list, pod)).toThrow(`route blackhole ${block} proto 80 is missing`);
  runner.gc(list, [pod]);
  runner.check(list, pod);
  runner.del(list, pod);
  node.sh(`ip route add blackhole ${block} proto 80`);
  runner.gc(list, []);
  expect(blockRoutes()).toEqual([]);
});

test("calico: concurrent ADDs and DELs keep a block's route while it has a pod", async () => {
  const request = { cniVersion: list.cniVersion, name: list.name, ...list.plugins[0] };
  const [a, b] = [newPod("a"), newPod("b")];
  const call = async (command: "ADD" | "DEL", sandbox: Sandbox) => {
    const { status, stdout } = await runner.tryExecBeside(command, "calico", request, sandbox);
    expect([command, status, stdout]).toEqual([command, 0, command === "ADD" ? expect.any(String) : ""]);
  };
  for (let round = 0; round < 30; round++) {
    const [coming, going] = round % 2 === 0 ? [a, b] : [b, a];
    await Promise.all([call("ADD", coming), call("DEL", going)]);
    expect([round, blockRoutes().length]).toEqual([round, 2]);
  }
  await Promise.all([call("DEL", a), call("DEL", b)]);
  expect(blockRoutes()).toEqual([]);
});

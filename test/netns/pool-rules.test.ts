/** Pods' packets to unused addresses of their pools end on the node; all others, and those for which there is a route, are not affected. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Conflist, loadConflist } from "../lib/conflist.ts";
import { leaks } from "../lib/node/kept.ts";
import { Node, outsideAddress4, outsideAddress6 } from "../lib/node/netns.ts";
import { diff, snapshot } from "../lib/node/snapshot.ts";
import { ping } from "../lib/node/traffic.ts";
import { Runner, type Sandbox } from "../lib/runtimes/runner.ts";
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

interface Range {
  readonly family: 4 | 6;
  readonly pool: string;
  /** In unclaimed blocks; the outside has the second one, in a part of the pool that is routed there. */
  readonly unclaimed: string;
  readonly remote: string;
  readonly part: string;
  readonly outside: string;
  readonly node: string;
  /** The interfaces of a container and its host. */
  readonly other: { readonly own: string; readonly host: string };
}

const ranges: readonly Range[] = [
  {
    family: 4,
    pool: "10.65.0.0/16",
    unclaimed: "10.65.200.77",
    remote: "10.65.9.1",
    part: "10.65.9.0/24",
    outside: outsideAddress4,
    node: "203.0.113.1",
    other: { own: "172.30.0.2/24", host: "172.30.0.1/24" },
  },
  {
    family: 6,
    pool: "fd65::/64",
    unclaimed: "fd65::dead:0:0:77",
    remote: "fd65::9:0:0:1",
    part: "fd65::9:0:0:0/80",
    outside: outsideAddress6,
    node: "2001:db8:99::1",
    other: { own: "fd30::2/64 nodad", host: "fd30::1/64 nodad" },
  },
];

function withPools(spec: object = {}): Conflist {
  for (const { family, pool } of ranges) writePool(family, pool, spec);
  const ipam = {
    type: "calico-ipam",
    assign_ipv4: "true",
    assign_ipv6: "true",
    ipv4_pools: ["10.65.0.0/16"],
    ipv6_pools: ["fd65::/64"],
  };
  return { ...list, plugins: list.plugins.map((plugin) => (plugin.type === "calico" ? { ...plugin, ipam } : plugin)) };
}

function writePool(family: 4 | 6, cidr: string, spec: object): void {
  const apiVersion = "crd.projectcalico.org/v1";
  const pool = { apiVersion, kind: "IPPool", metadata: { name: `pool-${family}` }, spec: { cidr, ...spec } };
  node.sh(`mkdir -p /var/lib/tortie/ippools; cat > /var/lib/tortie/ippools/pool-${family}.json`, {
    stdin: JSON.stringify(pool),
  });
}

function add(name: string, chain: Conflist): Sandbox {
  const sandbox = { containerId: name, netns: node.addPod(name), ifname: "eth0" };
  runner.add(chain, sandbox);
  return sandbox;
}

/** `32002 10.65.0.0/16`: priority and pool of our rules. */
function rules(): readonly string[] {
  const text = node.sh("ip -4 rule; ip -6 rule");
  return text.split("\n").flatMap((line) => {
    const [, priority, pool] = /^(\d+):\sfrom (\S+) to \2 .*proto 80\s*$/.exec(line) ?? [];
    return priority === undefined ? [] : [`${priority} ${pool}`];
  });
}

/** The number of packets to the address that arrive outside during `send`. */
function arrivedOutside({ family, unclaimed }: Range, send: () => void): number {
  const word = family === 4 ? "ip" : "ip6";
  node.sh(
    `nft "add table inet t; add chain inet t c { type filter hook prerouting priority -300; }; add rule inet t c iifname uplink ${word} daddr ${unclaimed} counter"`,
    { in: "outside" },
  );
  send();
  const text = node.sh("nft list table inet t; nft delete table inet t", { in: "outside" });
  return Number(/packets (\d+)/.exec(text)?.[1]);
}

function sendFrom(spot: string | undefined, address: string): void {
  node.run(["ping", "-n", "-c", "2", "-i", "0.1", "-W", "1", address], spot === undefined ? {} : { in: spot });
}

/** The outside is a router that routes the whole pool here, and has an address in it. */
function routePoolHere({ pool, remote, node: via, family }: Range): void {
  const length = family === 4 ? 32 : 128;
  node.sh(
    `ip -${family} address add ${remote}/${length} dev lo; ip -${family} route add ${pool} via ${via};
     echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding`,
    { in: "outside" },
  );
}

describe.each(ranges)("$pool", (range) => {
  test("a pod's packets to an address that nobody has claimed stay here", () => {
    const chain = withPools();
    const pod = add("a", chain);
    expect(arrivedOutside(range, () => sendFrom("a", range.unclaimed))).toBe(0);
    // Proves that the counter works.
    for (const family of [4, 6]) node.sh(`ip -${family} rule del pref 32002`);
    expect(arrivedOutside(range, () => sendFrom("a", range.unclaimed))).toBeGreaterThan(0);
    expect(() => runner.check(chain, pod)).toThrow(/rule from \S+ to \S+ blackhole pref 32002 proto 80 is missing/);
    runner.gc(chain, [pod]);
    runner.check(chain, pod);
    expect(arrivedOutside(range, () => sendFrom("a", range.unclaimed))).toBe(0);
  });

  test.each([0, 1, 2])(
    "the node itself reaches what is behind its default route there, with rp_filter %i",
    (filter) => {
      routePoolHere(range);
      node.sh(`for file in all uplink; do echo ${filter} >/proc/sys/net/ipv4/conf/$file/rp_filter; done`);
      add("a", withPools());
      expect(ping(node, undefined, range.remote)).toBe(true);
      // Also for connections that the other end opens, as an address of the pool.
      const asRemote = ["ping", "-n", "-c", "1", "-W", "2", "-I", range.remote, range.node];
      expect(node.run(asRemote, { in: "outside" }).status).toBe(0);
      expect(ping(node, "a", range.outside)).toBe(true);
    },
  );

  test("a container of another's on the node reaches it too", () => {
    routePoolHere(range);
    add("a", withPools());
    node.addPod("other");
    const { family, other } = range;
    node.sh(`ip link add other0 type veth peer name eth0 netns other; ip address add ${other.host} dev other0; ip link set other0 up
      ip -n other address add ${other.own} dev eth0; ip -n other link set eth0 up`);
    node.sh(`ip -${family} route add default via ${other.host.replace(/\/.*/, "")}`, { in: "other" });
    node.sh(`ip -${family} route add ${other.own.replace(/\/.*/, "")} via ${range.node}`, { in: "outside" });
    expect(ping(node, "other", range.remote)).toBe(true);
  });

  test("the node's own packets meet the rules that come later, such as a VPN's", () => {
    add("a", withPools());
    node.sh(`ip link add vpn type veth peer name far; ip link set far up; ip link set vpn up; ip -${range.family} route add default dev vpn table 51820
      ip -${range.family} rule add pref 32765 not fwmark 0xca6c table 51820
      ip -${range.family} rule add pref 32764 table main suppress_prefixlength 0`);
    expect(node.sh(`ip route get ${range.unclaimed}`)).toContain("dev vpn");
  });

  test("a route of an administrator's to a part of the pool is a pod's way", () => {
    routePoolHere(range);
    add("a", withPools());
    expect(ping(node, "a", range.remote)).toBe(false);
    node.sh(`ip -${range.family} route add ${range.part} via ${range.outside}`);
    expect(ping(node, "a", range.remote)).toBe(true);
  });
});

test("calico adds one pair of rules per pool, whatever the number of pods; the last DEL removes them, and pods reach each other", () => {
  const clean = snapshot(node);
  const chain = withPools();
  const pods = ["a", "b"].map((name) => add(name, chain));
  expect(rules()).toEqual(ranges.flatMap(({ pool }) => [`32001 ${pool}`, `32002 ${pool}`]));
  const [, other] = pods;
  for (const address of node
    .sh("ip -j address show dev eth0 scope global", { in: "b" })
    .match(/(?<="local":")[^"]+/g) ?? []) {
    expect([address, ping(node, "a", address), ping(node, undefined, address)]).toEqual([address, true, true]);
  }
  if (other !== undefined) runner.check(chain, other);
  for (const pod of pods) {
    expect(rules()).toHaveLength(4);
    runner.del(chain, pod);
  }
  expect(rules()).toEqual([]);
  expect(leaks(diff(clean, snapshot(node)))).toEqual([]);
});

test("calico adds no rules for a disabled pool, and GC removes existing ones", () => {
  const chain = withPools();
  const pod = add("a", chain);
  expect(rules()).toHaveLength(4);
  withPools({ disabled: true });
  runner.gc(chain, [pod]);
  expect(rules()).toEqual([]);
  runner.add(chain, pod);
  runner.check(chain, pod);
  expect(rules()).toEqual([]);
});

test("calico leaves foreign rules with the same priorities alone", () => {
  node.sh(
    "ip rule add pref 32002 to 192.0.2.0/24 blackhole; ip rule add pref 500 to 192.0.2.0/24 lookup main proto 80",
  );
  const others = node.sh("ip rule");
  const chain = withPools();
  runner.del(chain, add("a", chain));
  expect(node.sh("ip rule")).toBe(others);
});

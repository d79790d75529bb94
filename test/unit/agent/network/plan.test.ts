import { describe, expect, test } from "vitest";
import type { Snapshot } from "../../../../src/agent/network/snapshot.ts";
import { addressOf, contains, lengthOf } from "../../../../src/net/prefix.ts";
import { identityOf } from "../../../../src/plan/identity.ts";
import type { NodeResource } from "../../../../src/plan/node-plan.ts";
import { howMany } from "../../../lib/how-many.ts";
import { type Random, randomOf, seed } from "../../../lib/random.ts";
import { type Allocation, block, type Cluster, object, planned, snapshotOf } from "./cluster.ts";

const uplink = { name: "eth0", mtu: 1500, addresses: ["10.1.0.1/24", "2001:db8::1/64"] };
const vxlanPool = object("IPPool", "p", { cidr: "192.168.0.0/16", vxlanMode: "Always" });

function node(name: string, address: string, tunnel?: string, more: object = {}) {
  return object("Node", name, {
    bgp: { ipv4Address: address },
    ...(tunnel !== undefined && { ipv4VXLANTunnelAddr: tunnel }),
    ...more,
  });
}

const own = node("a", "10.1.0.1/24", "192.168.0.1");
const near = node("b", "10.1.0.2/24", "192.168.1.1");
const far = node("c", "10.2.0.3/24", "192.168.2.1");
const blocks = [block("192.168.0.0/26", "a"), block("192.168.1.0/26", "b"), block("192.168.2.0/26", "c")];
const three: Cluster = { pools: [vxlanPool], blocks, nodes: [own, near, far] };

function withPool(spec: object): Cluster {
  return { ...three, pools: [object("IPPool", "p", { cidr: "192.168.0.0/16", ...spec })] };
}

function view(cluster: Cluster, more: Partial<Snapshot> = {}) {
  const { plan, mtu, troubles } = planned(snapshotOf(cluster, "a", [uplink], more));
  const resources = plan?.resources ?? [];
  return {
    plan,
    mtu,
    resources,
    lines: resources.filter(isRouting).map(lineOf),
    messages: troubles.map(({ message }) => message),
  };
}

/** The guard of the tunnels has tests of its own. */
function isRouting({ kind }: NodeResource): boolean {
  return kind !== "nft-table" && kind !== "nft-elements";
}

function lineOf(one: NodeResource): string {
  switch (one.kind) {
    case "route":
      return `${one.destination} via ${one.gateway ?? "none"} dev ${one.link}`;
    case "blackhole":
      return `blackhole ${one.destination}`;
    case "neighbour":
      return `neighbour ${one.address} ${one.mac}`;
    case "fdb":
      return `fdb ${one.mac} ${one.destination}`;
    case "vxlan":
    case "ipip":
      return `${one.kind} ${one.name} mtu ${one.mtu}`;
    case "address":
      return `address ${one.address} ${one.link}`;
    default:
      return one.kind;
  }
}

describe("routes", () => {
  test("IPIP goes to the node's address through tunl0, across subnets only on request", () => {
    const nodes = [
      node("a", "10.1.0.1/24", undefined, { bgp: { ipv4Address: "10.1.0.1/24", ipv4IPIPTunnelAddr: "192.168.0.1" } }),
    ];
    const cluster = { ...withPool({ ipipMode: "CrossSubnet" }), nodes: [...nodes, near, far] };
    expect(view(cluster).lines).toEqual([
      "ipip tunl0 mtu 1480",
      "address 192.168.0.1/32 tunl0",
      "blackhole 192.168.0.0/26",
      "192.168.1.0/26 via 10.1.0.2 dev eth0",
      "192.168.2.0/26 via 10.2.0.3 dev tunl0",
    ]);
  });

  test("an address that is not where its block is has a route of its own", () => {
    const allocations = [
      { ordinal: 5, node: "b" },
      { ordinal: 6, node: "a" },
      { ordinal: 7, node: "c" },
      { ordinal: 8, node: "gone" },
    ];
    const cluster = {
      ...three,
      blocks: [
        block("192.168.0.0/26", "a", allocations),
        block("192.168.1.0/26", "b", allocations),
        block("192.168.3.0/26", undefined, allocations),
      ],
    };
    expect(view(cluster).lines.filter((line) => /^\d|^black/.test(line))).toEqual([
      "blackhole 192.168.0.0/26",
      "192.168.0.5/32 via 192.168.1.1 dev vxlan.calico",
      "192.168.0.7/32 via 192.168.2.1 dev vxlan.calico",
      "192.168.1.0/26 via 192.168.1.1 dev vxlan.calico",
      "192.168.1.7/32 via 192.168.2.1 dev vxlan.calico",
      // The tunnel address of c, which has no block here.
      "192.168.2.1/32 via none dev vxlan.calico",
      "192.168.3.5/32 via 192.168.1.1 dev vxlan.calico",
      "192.168.3.7/32 via 192.168.2.1 dev vxlan.calico",
    ]);
  });

  test("a block of one address has no blackhole, which would take the place of its pod's route", () => {
    const cluster = { ...withPool({ blockSize: 32, vxlanMode: "Always" }), blocks: [block("192.168.0.9/32", "a")] };
    expect(view(cluster).lines).not.toContain("blackhole 192.168.0.9/32");
  });

  test("a tunnel address outside of its node's blocks is reached without a gateway", () => {
    const cluster = {
      ...three,
      blocks: [block("192.168.0.0/26", "a")],
      nodes: [own, node("b", "10.1.0.2/24", "192.168.0.9")],
    };
    expect(view(cluster).lines).toContain("192.168.0.9/32 via none dev vxlan.calico");
  });

  test("a tunnel address outside of all pools gets no route", () => {
    const cluster = { ...three, nodes: [own, node("b", "10.1.0.2/24", "8.8.8.8")] };
    expect(view(cluster).lines.filter((line) => line.startsWith("8."))).toEqual([]);
  });

  test("with BGP, the routes of pools without encapsulation are left to it, but own blocks drop packets", () => {
    expect(view(withPool({}), { usesBgp: true }).lines).toEqual(["blackhole 192.168.0.0/26"]);
    expect(view(withPool({}), { usesBgp: true, settings: { programClusterRoutes: "Enabled" } }).lines).toHaveLength(3);
    expect(view(withPool({})).lines).toEqual([
      "blackhole 192.168.0.0/26",
      "192.168.1.0/26 via 10.1.0.2 dev eth0",
      "192.168.2.0/26 via 10.2.0.3 dev eth0",
    ]);
  });

  test("blocks of a load balancer's services get none", () => {
    const services = block("192.168.9.0/26", undefined);
    const cluster = {
      ...three,
      blocks: [{ ...services, spec: { ...(services.spec as object), affinity: "virtual:load-balancer" } }],
    };
    expect(view(cluster).lines.filter((line) => line.includes("192.168.9."))).toEqual([]);
  });
});

describe("tunnels", () => {
  test("IPv6 has a device of its own", () => {
    const spec = (ip: string, tunnel: string) => ({ bgp: { ipv6Address: ip }, ipv6VXLANTunnelAddr: tunnel });
    const cluster = {
      pools: [object("IPPool", "p", { cidr: "fd00::/48", vxlanMode: "Always" })],
      blocks: [block("fd00::/122", "a"), block("fd00::40/122", "b")],
      nodes: [
        object("Node", "a", spec("2001:db8::1/64", "fd00::1")),
        object("Node", "b", spec("2001:db8:1::2/64", "fd00::41")),
      ],
    };
    expect(view(cluster)).toMatchObject({
      mtu: 1430,
      lines: [
        "vxlan vxlan-v6.calico mtu 1430",
        "address fd00::1/128 vxlan-v6.calico",
        // 66: and SHA-1("b-v6").
        expect.stringMatching(/^neighbour fd00::41 66:/),
        expect.stringMatching(/^fdb 66:.* 2001:db8:1::2$/),
        "blackhole fd00::/122",
        "fd00::40/122 via fd00::41 dev vxlan-v6.calico",
      ],
    });
  });

  test("a Node may name the MAC address; otherwise it follows from the name", () => {
    const named = node("b", "10.1.0.2/24", "192.168.1.1", { vxlanTunnelMACAddr: "66:00:00:00:00:AA" });
    expect(view({ ...three, nodes: [own, named] }).lines).toContain("neighbour 192.168.1.1 66:00:00:00:00:aa");
    // $ printf c | sha1sum
    expect(view(three).lines).toContain("neighbour 192.168.2.1 66:84:a5:16:84:1b");
  });

  test("two nodes with one tunnel address get neither, and are named", () => {
    const cluster = {
      ...three,
      nodes: [own, near, node("c", "10.2.0.3/24", "192.168.1.1"), node("d", "10.2.0.4/24", "192.168.3.1")],
    };
    const { lines, messages } = view({ ...cluster, blocks: [...blocks, block("192.168.3.0/26", "d")] });
    expect(lines.filter((line) => !line.includes("192.168.3."))).toEqual([
      "vxlan vxlan.calico mtu 1450",
      "address 192.168.0.1/32 vxlan.calico",
      expect.stringMatching(/^fdb .* 10\.2\.0\.4$/),
      "blackhole 192.168.0.0/26",
    ]);
    expect(messages[0]).toBe(
      'cannot route by VXLAN to nodes "b" and "c": they have the same tunnel address 192.168.1.1; remove the annotation projectcalico.org/IPv4VXLANTunnelAddr (etcd: the field of the Node\'s spec) from all but one, and its agent sets another',
    );
  });

  test("a node that has this node's address is not routed to", () => {
    const { lines, messages } = view({ ...three, nodes: [own, node("b", "10.1.0.1/24", "192.168.1.1")] });
    expect(lines.filter((line) => line.includes("192.168.1."))).toEqual([]);
    expect(messages).toEqual([expect.stringContaining('node "b": it has this node\'s own address 10.1.0.1')]);
  });

  test("without a tunnel address of its own the node has no device, and says so", () => {
    const { lines, messages } = view({ ...three, nodes: [node("a", "10.1.0.1/24"), near] });
    expect(lines).toEqual(["blackhole 192.168.0.0/26"]);
    expect(messages).toEqual([expect.stringContaining("this node has no tunnel address yet")]);
  });

  test("settings: the MTU is never more than fits", () => {
    const broken = { featureDetectOverride: "SNATFullyRandom=false, ChecksumOffloadBroken=true" };
    expect(view(three, { settings: broken }).resources[0]).toMatchObject({ kind: "vxlan", checksumOffload: false });
    expect(view(three).resources[0]).not.toHaveProperty("checksumOffload");
    expect(view(three, { settings: { vxlanMTU: 1400, vxlanVNI: 7, vxlanPort: 9 } }).resources[0]).toMatchObject({
      mtu: 1400,
      vni: 7,
      port: 9,
    });
    expect(view(three, { settings: { vxlanMTU: 9000 } })).toMatchObject({ mtu: 1450 });
    expect(view(withPool({})).mtu).toBe(1500);
  });
});

test("while no interface has the node's address, nothing is planned", () => {
  const { plan, messages } = view(three, { links: [{ ...uplink, addresses: ["10.9.0.1/24"] }] });
  expect(plan).toBeUndefined();
  expect(messages).toEqual([expect.stringContaining("no interface that is up has this node's address 10.1.0.1")]);
  expect(view({ ...three, nodes: [near] })).toMatchObject({ plan: undefined, messages: [] });
});

describe(`random clusters (seed ${seed})`, () => {
  const count = howMany(400);

  test("every assigned address has exactly one way from every node, no foreign range has one, and order means nothing", () => {
    const random = randomOf(seed);
    for (let at = 0; at < count; at++) {
      const { cluster, links } = randomCluster(random);
      for (const { metadata } of cluster.nodes) {
        const snapshot = snapshotOf(cluster, metadata.name, links(metadata.name));
        const { plan } = planned(snapshot);
        const resources = plan?.resources ?? [];
        expect(new Set(resources.map(identityOf)).size).toBe(resources.length);
        for (const one of resources) expectOfPool(cluster, one);
        for (const { address, user } of assigned(cluster)) expectWay(snapshot, resources, address, user);
        expect(planned(snapshotOf(shuffled(cluster, random), metadata.name, links(metadata.name))).plan).toEqual(plan);
      }
    }
  });
});

const modes = [
  { vxlanMode: "Always" },
  { vxlanMode: "CrossSubnet" },
  { ipipMode: "Always" },
  { ipipMode: "CrossSubnet" },
  {},
] as const;

/** Two pools of IPv4, /28 and single addresses, and blocks of any owner with addresses of any user. Each node has all tunnel addresses. */
function randomCluster(random: Random) {
  const names = ["a", "b", "c", "d"].slice(0, 2 + random.below(3));
  const address = (name: string) => `10.${1 + (names.indexOf(name) % 2)}.0.${1 + names.indexOf(name)}`;
  const cidrs = [
    ...Array.from({ length: 6 }, (_, at) => `192.168.0.${16 * at}/28`),
    ...Array.from({ length: 3 }, (_, at) => `192.168.1.${at}/32`),
  ];
  const free = new Map<string, Allocation[]>(cidrs.map((cidr) => [cidr, []]));
  for (const [cidr, allocations] of free) {
    const size = cidr.endsWith("/32") ? 1 : 16;
    for (let ordinal = 0; ordinal < size; ordinal++)
      if (random.chance(0.3)) allocations.push({ ordinal, node: random.pick(names) });
  }
  const pools = [
    object("IPPool", "p", { cidr: "192.168.0.0/24", blockSize: 28, ...random.pick(modes) }),
    object("IPPool", "q", { cidr: "192.168.1.0/24", blockSize: 32, ...random.pick(modes) }),
  ];
  const nodes = names.map((name, index) => {
    // At the end of a block, whichever node owns it.
    const [vxlan, ipip] = [16 * index + 15, 16 * index + 14].map((last) => `192.168.0.${last}`);
    for (const last of [15, 14]) {
      const own = free.get(`192.168.0.${16 * index}/28`) ?? [];
      const taken = own.findIndex(({ ordinal }) => ordinal === last);
      if (taken >= 0) own.splice(taken, 1);
      own.push({ ordinal: last, node: name, type: "vxlanTunnelAddress" });
    }
    return object("Node", name, {
      bgp: { ipv4Address: `${address(name)}/24`, ipv4IPIPTunnelAddr: ipip },
      ipv4VXLANTunnelAddr: vxlan,
    });
  });
  const owner = () => (random.chance(0.2) ? undefined : random.pick(names));
  const cluster = { pools, nodes, blocks: [...free].map(([cidr, allocations]) => block(cidr, owner(), allocations)) };
  const links = (name: string) => [{ name: "eth0", mtu: 1500, addresses: [`${address(name)}/24`] }];
  return { cluster, links };
}

function* assigned({ blocks: all }: Cluster): Generator<{ readonly address: string; readonly user: string }> {
  for (const { spec } of all) {
    const { cidr, allocations, attributes } = spec as {
      readonly cidr: string;
      readonly allocations: readonly (number | null)[];
      readonly attributes: readonly { readonly secondary: { readonly node: string } }[];
    };
    const [head = "", last = ""] = /^(.*\.)(\d+)\//.exec(cidr)?.slice(1) ?? [];
    for (const [ordinal, index] of allocations.entries()) {
      const user = index === null ? undefined : attributes[index]?.secondary.node;
      if (user !== undefined) yield { address: `${head}${Number(last) + ordinal}`, user };
    }
  }
}

function expectOfPool({ pools }: Cluster, one: NodeResource): void {
  if (one.kind !== "route" && one.kind !== "blackhole") return;
  expect(pools.some(({ spec }) => contains((spec as { readonly cidr: string }).cidr, one.destination))).toBe(true);
}

function expectWay(snapshot: Snapshot, resources: readonly NodeResource[], address: string, user: string): void {
  const routes = resources.filter((one) => one.kind === "route" || one.kind === "blackhole");
  const matching = routes.filter(({ destination }) => contains(destination, address));
  if (user === snapshot.node) {
    // The pod's own route, or the address of the tunnel device, comes first unless there is one that is as narrow.
    expect(matching.filter(({ destination }) => lengthOf(destination) === 32)).toEqual([]);
    return;
  }
  const longest = Math.max(...matching.map(({ destination }) => lengthOf(destination)));
  const [route, ...others] = matching.filter(({ destination }) => lengthOf(destination) === longest);
  expect(others).toEqual([]);
  if (route?.kind !== "route") throw new Error(`${address} of ${user} has no way from ${snapshot.node}`);
  const peer = addressOf(snapshot.nodes.get(user)?.addresses[4] ?? "");
  if (route.link !== "vxlan.calico") {
    expect(route).toMatchObject({ gateway: peer, onlink: true, protocol: 80 });
    return;
  }
  const gateway = route.gateway ?? address;
  const neighbour = resources.find((one) => one.kind === "neighbour" && one.address === gateway);
  const mac = neighbour?.kind === "neighbour" ? neighbour.mac : "";
  const entry = resources.find((one) => one.kind === "fdb" && one.mac === mac);
  expect(entry).toMatchObject({ destination: peer });
}

function shuffled({ pools, blocks: all, nodes }: Cluster, random: Random): Cluster {
  const mixed = <T>(list: readonly T[]) =>
    list
      .map((one) => [random.next(), one] as const)
      .sort(([one], [other]) => one - other)
      .map(([, one]) => one);
  return { pools: mixed(pools), blocks: mixed(all), nodes: mixed(nodes) };
}

/** A small cluster, and the facts of ways through it on which nothing is wrong. Node a sends; node b is in its subnet. */

import type { Entry, Link, LocalPod, PodFacts, TraceFacts } from "../../../../src/cli/trace/facts.ts";
import { parseNatTable } from "../../../../src/cli/trace/nat-table.ts";
import { type Known, localPods } from "../../../../src/cli/trace/resolve.ts";
import { networkNodeOf } from "../../../../src/cluster-network/network-node.ts";
import { type NetworkPool, networkPoolOf } from "../../../../src/cluster-network/network-pool.ts";
import type { Block } from "../../../../src/ipam/model/block.ts";

function present<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("the example is incomplete");
  return value;
}

const stored = (kind: "IPPool" | "Node", name: string, spec: object) =>
  ({ apiVersion: "projectcalico.org/v3", kind, metadata: { name }, spec }) as Parameters<typeof networkNodeOf>[0];

export const poolWith = (spec: object): NetworkPool =>
  present(networkPoolOf(stored("IPPool", "pool", { cidr: "10.0.0.0/16", natOutgoing: false, ...spec })));

export const nodes = ["a", "b"].map((name, index) =>
  networkNodeOf(
    stored("Node", name, {
      bgp: { ipv4Address: `172.16.0.${index + 1}/24`, ipv4IPIPTunnelAddr: `10.0.${index}.1` },
      ipv4VXLANTunnelAddr: `10.0.${index}.1`,
    }),
  ),
);
export const [own, far] = [present(nodes[0]), present(nodes[1])];

const block = {
  apiVersion: "crd.projectcalico.org/v1",
  kind: "IPAMBlock",
  metadata: { name: "10-0-1-0-30" },
  spec: {
    ...{ cidr: "10.0.1.0/30", affinity: "host:b", sequenceNumber: 1, strictAffinity: false, deleted: false },
    ...{ allocations: [null, null, 0, 1], unallocated: [0, 1] },
    attributes: [
      { handle_id: "x", secondary: { namespace: "shop", pod: "web", node: "b" } },
      { handle_id: "y", secondary: { namespace: "shop", pod: "db", node: "a" } },
    ],
  },
} as unknown as Block;
export const known: Known = { pools: [poolWith({ ipipMode: "Always" })], blocks: [block], nodes };

export const pods = localPods([
  {
    attachment: { network: "net", containerId: "0123456789abcdef", ifname: "eth0" },
    ...{ node: "a", pod: { namespace: "shop", name: "cart" }, hostInterface: "cali1", mac: "02:00:00:00:00:01" },
    ...{ addresses: ["10.0.0.5/32", "fd00::5/128"], netns: "/run/netns/cart" },
  },
  {
    attachment: { network: "net", containerId: "fedcba9876543210", ifname: "eth0" },
    ...{ node: "a", pod: undefined, hostInterface: "cali2", mac: "02:00:00:00:00:02" },
    ...{ addresses: ["10.0.0.6/32", "fd00::6/128"], netns: "/run/netns/other" },
  },
]);
export const [source, source6, neighbour, neighbour6] = pods as readonly [LocalPod, LocalPod, LocalPod, LocalPod];

export const gatewayMac = "ee:ee:ee:ee:ee:ee";
export const found = (value: string, state = "REACHABLE"): Entry => ({ kind: "found", value, state });

export function link(name: string, more: Partial<Link> = {}): readonly [string, Link] {
  return [name, { name, mtu: 1400, mac: gatewayMac, isUp: true, hasCarrier: true, addresses: [], ...more }];
}

export const toDefault = { kind: "route", dev: "eth0", gateway: "169.254.1.1", via: "default" } as const;
const inside = (address: string, mac: string): PodFacts => ({
  ...{ link: link("eth0", { addresses: [address], mac })[1], route: toDefault, gateway: found(gatewayMac) },
});

const switches = ["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"];
const links = ["cali1", "cali2", "eth0", "tunl0", "vxlan.calico"];

/** The table of natOutgoing as nft prints it. */
export function natTableWith(translated: readonly string[], statement: object = { masquerade: null }) {
  const elem = translated.map((cidr) => ({
    prefix: { addr: cidr.split("/")[0], len: Number(cidr.split("/")[1]) },
  }));
  const sets = ["nat_pools", "all_pools"].map((name) => ({ set: { name, elem } }));
  return parseNatTable(JSON.stringify({ nftables: [...sets, { rule: { expr: [statement] } }] }));
}

/** By IPIP. */
export const healthy: TraceFacts = {
  ...{
    node: "a",
    family: 4,
    source,
    own,
    pools: known.pools,
    chains: [],
    hasUnreadRules: false,
    unread: [],
    rules: [],
    services: [],
  },
  ...{ natTable: natTableWith(["10.0.0.0/16"]), outgoing: undefined, settings: {}, networking: undefined },
  ...{ redirect: undefined, port: undefined },
  target: { kind: "far pod", address: "10.0.1.2", pod: "shop/web", block: "10.0.1.0/30", owner: "b", on: far },
  sender: inside("10.0.0.5", "02:00:00:00:00:01"),
  route: { kind: "route", dev: "tunl0", gateway: "172.16.0.2", via: "10.0.1.0/30" },
  reply: { kind: "route", dev: "cali1", gateway: undefined, via: "10.0.0.5" },
  links: new Map([
    ...[link("cali1"), link("cali2"), link("tunl0", { mac: undefined })],
    link("eth0", { mtu: 1500, mac: "02:00:00:00:01:01", addresses: ["172.16.0.1"] }),
    link("vxlan.calico", {
      mac: own.vxlanMacs[4],
      vxlan: { vni: 4096, port: 4789, local: "172.16.0.1", below: "eth0" },
    }),
  ]),
  sysctls: new Map([
    ...[
      ...switches,
      ...links.flatMap((name) => [`net/ipv4/conf/${name}/forwarding`, `net/ipv6/conf/${name}/forwarding`]),
    ].map((path) => [path, "1"] as const),
    ...["all", ...links].map((name) => [`net/ipv4/conf/${name}/rp_filter`, "0"] as const),
  ]),
  tunnel: {
    ...{ kind: "ipip", device: "tunl0", neighbour: { kind: "missing" }, forwards: { kind: "missing" } },
    outer: { kind: "route", dev: "eth0", gateway: undefined, via: "172.16.0.0/24" },
    outerReply: { kind: "route", dev: "lo", gateway: undefined, via: "172.16.0.1" },
  },
  uplink: { dev: "eth0", nextHop: "172.16.0.2", neighbour: found("02:00:00:00:02:01") },
};

export const byVxlan: TraceFacts = {
  ...healthy,
  pools: [poolWith({ vxlanMode: "Always" })],
  route: { kind: "route", dev: "vxlan.calico", gateway: "10.0.1.1", via: "10.0.1.0/30" },
  tunnel: {
    ...present(healthy.tunnel),
    ...{ kind: "vxlan", device: "vxlan.calico" },
    neighbour: found(far.vxlanMacs[4], "PERMANENT"),
    forwards: { kind: "found", value: "172.16.0.2" },
  },
};

export const direct: TraceFacts = {
  ...healthy,
  pools: [poolWith({})],
  route: { kind: "route", dev: "eth0", gateway: "172.16.0.2", via: "10.0.1.0/30" },
  tunnel: undefined,
};

export const local: TraceFacts = {
  ...healthy,
  target: {
    ...{ kind: "local pod", address: "10.0.0.6", pod: neighbour },
    receiver: inside("10.0.0.6", "02:00:00:00:00:02"),
    neighbour: found("02:00:00:00:00:02"),
  },
  route: { kind: "route", dev: "cali2", gateway: undefined, via: "10.0.0.6" },
  ...{ tunnel: undefined, uplink: undefined },
};

const toDefault6 = { kind: "route", dev: "eth0", gateway: "fe80::ecee:eeff:feee:eeee", via: "default" } as const;

export const local6: TraceFacts = {
  ...local,
  ...{ family: 6, source: source6, sender: { ...inside("fd00::5", "02:00:00:00:00:01"), route: toDefault6 } },
  target: {
    ...{ kind: "local pod", address: "fd00::6", pod: neighbour6 },
    receiver: { ...inside("fd00::6", "02:00:00:00:00:02"), route: toDefault6 },
    neighbour: found("02:00:00:00:00:02"),
  },
  route: { kind: "route", dev: "cali2", gateway: undefined, via: "fd00::6" },
  reply: { kind: "route", dev: "cali1", gateway: undefined, via: "fd00::5" },
};

export const outside: TraceFacts = {
  ...direct,
  pools: [poolWith({ natOutgoing: true })],
  target: { kind: "outside", address: "192.0.2.1" },
  route: { kind: "route", dev: "eth0", gateway: "172.16.0.254", via: "default" },
  uplink: { dev: "eth0", nextHop: "172.16.0.254", neighbour: found("02:00:00:00:02:fe") },
};

export const toNode: TraceFacts = {
  ...local,
  target: { kind: "this node", address: "172.16.0.1" },
  route: { kind: "route", dev: "lo", gateway: undefined, via: "172.16.0.1" },
  reply: { kind: "unasked" },
};

export const ways = { healthy, byVxlan, direct, local, local6, outside, toNode } as const;

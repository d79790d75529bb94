/** Clusters whose BIRD configuration is compared with golden files, and which real BIRD must accept. */
import { bgpConfigurationSchema, bgpFilterSchema, bgpPeerSchema } from "../../../../src/agent/bgp/resources.ts";
import type { BgpNode, BgpSnapshot } from "../../../../src/agent/bgp/snapshot.ts";

type Loose<T> = { readonly [K in keyof T]?: unknown };

export function node(name: string, last: number, more: Partial<BgpNode> = {}): BgpNode {
  return { name, labels: { rack: last < 10 ? "1" : "2" }, addresses: { 4: `10.192.0.${last}/24` }, ...more };
}

export function dualNode(name: string, last: number, more: Partial<BgpNode> = {}): BgpNode {
  return node(name, last, { addresses: { 4: `10.192.0.${last}/24`, 6: `fd00:192::${last}/64` }, ...more });
}

const pools = [
  { cidr: "192.168.0.0/16", isTunnelled: false, disableBGPExport: false },
  { cidr: "fd10:244::/48", isTunnelled: false, disableBGPExport: false },
];

export function snapshot(more: Partial<BgpSnapshot> = {}): BgpSnapshot {
  return {
    node: "kube-node-1",
    nodes: [node("kube-node-1", 2), node("kube-node-2", 3), node("kube-node-3", 12)],
    configurations: [],
    peers: [],
    filters: [],
    pools,
    blocks: ["192.168.221.64/26"],
    services: [],
    secrets: new Map(),
    ...more,
  };
}

export const configuration = (name: string, spec: Loose<object>) => ({
  name,
  spec: bgpConfigurationSchema.parse(spec),
});
export const peer = (name: string, spec: object) => ({ name, spec: bgpPeerSchema.parse(spec) });
export const filter = (name: string, spec: object) => ({ name, spec: bgpFilterSchema.parse(spec) });

const dual = [dualNode("kube-node-1", 2), dualNode("kube-node-2", 3)];
const noMesh = configuration("default", { nodeToNodeMeshEnabled: false, asNumber: 64_600 });
const reflectors = [
  node("kube-node-1", 2),
  node("kube-node-2", 3, { labels: { "route-reflector": "true" }, routeReflectorClusterId: "244.0.0.1" }),
  node("kube-node-3", 12),
];
const reflectorPeer = peer("to-reflectors", { nodeSelector: "all()", peerSelector: "route-reflector == 'true'" });
const torPeer = { peerIP: "10.192.0.254", asNumber: 65_001 };

/** By the name of their golden file. */
export const cases: Readonly<Record<string, BgpSnapshot>> = {
  mesh: snapshot(),
  "mesh-dual": snapshot({ nodes: dual, blocks: ["192.168.221.64/26", "fd10:244:0:58::/122"] }),
  "mesh-ipv6": snapshot({
    nodes: dual.map((one) => ({ ...one, addresses: { 6: one.addresses[6] as string } })),
    blocks: ["fd10:244:0:58::/122"],
  }),
  "mesh-password-and-restart-time": snapshot({
    configurations: [
      configuration("default", {
        nodeMeshPassword: { secretKeyRef: { name: "bgp", key: "mesh" } },
        nodeMeshMaxRestartTime: "3m20s",
      }),
    ],
    secrets: new Map([["bgp/mesh", "pass word"]]),
  }),
  "ports-and-binding": snapshot({
    configurations: [
      configuration("default", {
        listenPort: 1179,
        bindMode: "NodeIP",
        logSeverityScreen: "Debug",
        ignoredInterfaces: ["docker*"],
      }),
      configuration("node.kube-node-2", { listenPort: 1180 }),
    ],
  }),
  "as-per-node": snapshot({
    nodes: [
      node("kube-node-1", 2, { asNumber: 65_100 }),
      node("kube-node-2", 3, { asNumber: 65_100 }),
      node("kube-node-3", 12),
    ],
  }),
  "reflector-client": snapshot({ nodes: reflectors, configurations: [noMesh], peers: [reflectorPeer] }),
  reflector: snapshot({ node: "kube-node-2", nodes: reflectors, configurations: [noMesh], peers: [reflectorPeer] }),
  "top-of-rack": snapshot({
    configurations: [noMesh],
    peers: [
      peer("tor-rack-1", { ...torPeer, nodeSelector: "rack == '1'" }),
      peer("tor-rack-2", { ...torPeer, peerIP: "10.192.0.253", nodeSelector: "rack == '2'" }),
    ],
  }),
  "peer-options": snapshot({
    peers: [
      peer("all", {
        ...{ peerIP: "192.0.2.1:1790", asNumber: "1.10", localASNumber: 64_700, sourceAddress: "None", ttlSecurity: 1 },
        ...{ reachableBy: "10.192.0.254", maxRestartTime: "10s", keepaliveTime: "15s", numAllowedLocalASNumbers: 2 },
        ...{ keepOriginalNextHop: true, password: { secretKeyRef: { name: "bgp", key: "tor" } } },
      }),
    ],
    secrets: new Map([["bgp/tor", "secret"]]),
  }),
  filters: snapshot({
    nodes: dual,
    peers: [peer("tor", { ...torPeer, filters: ["leaf", "last"] })],
    filters: [
      filter("leaf", {
        importV4: [
          { action: "Reject", cidr: "44.4.0.0/16", matchOperator: "Equal" },
          { action: "Accept", cidr: "44.0.0.0/8", matchOperator: "In", prefixLength: { min: 16, max: 24 } },
          { action: "Reject", cidr: "44.0.0.0/8", matchOperator: "NotIn" },
        ],
        exportV4: [
          { action: "Reject", source: "RemotePeers", interface: "*.calico", peerType: "eBGP" },
          { action: "Accept", asPathPrefix: [65_001, 65_002], communities: { values: ["65001:7"] }, priority: 512 },
          {
            action: "Accept",
            cidr: "192.168.0.0/16",
            matchOperator: "NotEqual",
            operations: [
              { addCommunity: { value: "65000:100:3" } },
              { prependASPath: { prefix: [65_000, 65_001] } },
              { setPriority: { value: 100 } },
            ],
          },
        ],
      }),
      filter("last", { importV4: [{ action: "Reject" }], exportV6: [{ action: "Reject", cidr: "fd00::/8" }] }),
    ],
  }),
  "pools-and-communities": snapshot({
    configurations: [
      configuration("default", {
        communities: [{ name: "internal", value: "65000:200" }],
        prefixAdvertisements: [{ cidr: "192.168.0.0/16", communities: ["internal", "65000:1:2"] }],
      }),
    ],
    pools: [
      ...pools,
      { cidr: "10.77.0.0/16", isTunnelled: true, disableBGPExport: false },
      { cidr: "10.78.0.0/16", isTunnelled: false, disableBGPExport: true },
    ],
    blocks: ["192.168.221.64/26", "10.77.3.0/26", "192.168.9.9/32"],
  }),
  services: snapshot({ services: ["10.96.0.0/12", "10.96.7.7/32"] }),
};

/** The columns of `tortie get` for each kind of resource. */
import type { StoreType } from "../store.ts";
import type { ResourceKind } from "./kinds.ts";
import type { Resource } from "./resource.ts";

export interface KindColumn {
  readonly title: string;
  /** Only with `-o wide`. */
  readonly wide?: true;
  readonly value: (resource: Resource) => string;
}

type Spec = Readonly<Record<string, unknown>>;

const name: KindColumn = { title: "NAME", value: ({ metadata }) => metadata.name };
const labels: KindColumn = {
  title: "LABELS",
  value: ({ metadata }) => pairs(metadata.labels),
};

/** A node's files hold Nodes for their labels only. */
const nodeInFiles = [name, labels];

const namespace: KindColumn = { title: "NAMESPACE", value: ({ metadata }) => text(metadata.namespace ?? "") };
const orderOf = ({ order }: Spec) => text(order ?? "<unset>");
const policy = [
  of("TIER", ({ tier }) => text(tier ?? "default")),
  wide("ORDER", orderOf),
  wide("SELECTOR", ({ selector }) => text(selector ?? "all()")),
];
const nets = wide("NETS", ({ nets }) => joined(nets));

/** calicoctl's titles, for kinds that it has. */
const columns: Readonly<Record<ResourceKind, readonly KindColumn[]>> = {
  IPPool: [
    name,
    of("CIDR", ({ cidr }) => text(cidr)),
    wide("NAT", ({ natOutgoing }) => text(natOutgoing ?? false)),
    wide("IPIPMODE", ({ ipipMode }) => text(ipipMode ?? "Never")),
    wide("VXLANMODE", ({ vxlanMode }) => text(vxlanMode ?? "Never")),
    wide("DISABLED", ({ disabled }) => text(disabled ?? false)),
    wide("DISABLEBGPEXPORT", ({ disableBGPExport }) => text(disableBGPExport ?? false)),
    of("SELECTOR", ({ nodeSelector }) => text(nodeSelector ?? "all()")),
    wide("ASSIGNMENTMODE", ({ assignmentMode }) => text(assignmentMode ?? "Automatic")),
  ],
  IPReservation: [name, of("RESERVEDCIDRS", ({ reservedCIDRs }) => joined(reservedCIDRs))],
  IPAMConfig: [
    name,
    of("STRICTAFFINITY", ({ strictAffinity }) => text(strictAffinity ?? false)),
    of("AUTOALLOCATEBLOCKS", ({ autoAllocateBlocks }) => text(autoAllocateBlocks ?? true)),
    of("MAXBLOCKSPERHOST", ({ maxBlocksPerHost }) => text(maxBlocksPerHost ?? 0)),
  ],
  IPAMBlock: [
    name,
    of("CIDR", ({ cidr }) => text(cidr)),
    of("AFFINITY", ({ affinity }) => text(affinity ?? "")),
    of("IN USE", ({ allocations }) => `${listOf(allocations).filter((index) => index !== null).length}`),
    of("FREE", ({ unallocated }) => `${listOf(unallocated).length}`),
    wide("SEQUENCE", ({ sequenceNumber }) => text(sequenceNumber)),
  ],
  IPAMHandle: [
    name,
    of("BLOCKS", ({ block }) => joined(Object.entries(block ?? {}).map(([cidr, count]) => `${cidr}=${count}`))),
  ],
  BlockAffinity: [
    name,
    of("NODE", ({ node }) => text(node)),
    of("CIDR", ({ cidr }) => text(cidr)),
    of("STATE", ({ state }) => text(state === "" ? "confirmed" : state)),
  ],
  WorkloadEndpoint: [
    namespace,
    { ...name, wide: true },
    of("WORKLOAD", ({ pod, workload }) => text(pod ?? workload ?? "")),
    of("NODE", ({ node }) => text(node)),
    of("NETWORKS", ({ ipNetworks }) => joined(ipNetworks)),
    of("INTERFACE", ({ interfaceName }) => text(interfaceName)),
    wide("PROFILES", ({ profiles }) => joined(profiles)),
    wide("NATS", ({ ipNATs }) => joined(listOf(ipNATs).map((nat) => (nat as Spec).externalIP))),
  ],
  Node: [
    name,
    wide("ASN", ({ bgp }) => text(field(bgp, "asNumber") ?? `(${defaultAsNumber})`)),
    wide("IPV4", ({ bgp }) => text(field(bgp, "ipv4Address") ?? "")),
    wide("IPV6", ({ bgp }) => text(field(bgp, "ipv6Address") ?? "")),
  ],
  Namespace: [name, labels],
  Profile: [name, wide("LABELS", ({ labelsToApply }) => pairs(labelsToApply))],
  FelixConfiguration: [name],
  BGPConfiguration: [
    name,
    of("LOGSEVERITY", ({ logSeverityScreen }) => text(logSeverityScreen ?? "Info")),
    of("MESHENABLED", ({ nodeToNodeMeshEnabled }) => text(nodeToNodeMeshEnabled ?? "")),
    of("ASNUMBER", ({ asNumber }) => text(asNumber ?? "")),
  ],
  BGPPeer: [
    name,
    of("PEERIP", ({ peerIP }) => text(peerIP ?? "")),
    of("NODE", ({ node, nodeSelector }) => text(node ?? nodeSelector ?? "(global)")),
    of("ASN", ({ asNumber }) => text(asNumber ?? "")),
    wide("PEERSELECTOR", ({ peerSelector }) => text(peerSelector ?? "")),
  ],
  BGPFilter: [
    name,
    of("IMPORT RULES", ({ importV4, importV6 }) => text(listOf(importV4).length + listOf(importV6).length)),
    of("EXPORT RULES", ({ exportV4, exportV6 }) => text(listOf(exportV4).length + listOf(exportV6).length)),
  ],
  ClusterInformation: [
    name,
    of("CLUSTERGUID", ({ clusterGUID }) => text(clusterGUID ?? "")),
    of("CLUSTERTYPE", ({ clusterType }) => text(clusterType ?? "")),
    of("CALICOVERSION", ({ calicoVersion }) => text(calicoVersion ?? "")),
    of("DATASTOREREADY", ({ datastoreReady }) => text(datastoreReady ?? "")),
  ],
  NetworkPolicy: [namespace, name, ...policy],
  GlobalNetworkPolicy: [name, ...policy],
  NetworkSet: [namespace, name, nets],
  GlobalNetworkSet: [name, nets],
  Tier: [name, of("ORDER", orderOf)],
  HostEndpoint: [
    name,
    of("NODE", ({ node }) => text(node ?? "")),
    wide("INTERFACE", ({ interfaceName }) => text(interfaceName ?? "")),
    wide("IPS", ({ expectedIPs }) => joined(expectedIPs)),
    wide("PROFILES", ({ profiles }) => joined(profiles)),
  ],
  KubeControllersConfiguration: [name],
  CalicoNodeStatus: [name, of("NODE", ({ node }) => text(node ?? "")), of("CLASSES", ({ classes }) => joined(classes))],
};

/** Of a cluster that sets none. */
const defaultAsNumber = 64512;

export function columnsOf(kind: ResourceKind, type: StoreType): readonly KindColumn[] {
  return kind === "Node" && type === "file" ? nodeInFiles : columns[kind];
}

function field(value: unknown, name: string): unknown {
  return (value as Spec | undefined)?.[name];
}

function pairs(value: unknown): string {
  return joined(Object.entries((value ?? {}) as Spec).map(([key, text]) => `${key}=${text}`));
}

function of(title: string, value: (spec: Spec) => string): KindColumn {
  return { title, value: ({ spec }) => value(spec as Spec) };
}

function wide(title: string, value: (spec: Spec) => string): KindColumn {
  return { ...of(title, value), wide: true };
}

function text(value: unknown): string {
  return `${value}`;
}

function joined(value: unknown): string {
  return listOf(value).join(",");
}

/** A damaged object may have any value there. */
function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

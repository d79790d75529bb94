/** The columns of `tortie get` for each kind of resource. */
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
  value: ({ metadata }) => joined(Object.entries(metadata.labels ?? {}).map(([key, value]) => `${key}=${value}`)),
};

/** calicoctl's titles, for kinds that it has. */
export const columnsOf: Readonly<Record<ResourceKind, readonly KindColumn[]>> = {
  IPPool: [
    name,
    of("CIDR", ({ cidr }) => text(cidr)),
    wide("NAT", ({ natOutgoing }) => text(natOutgoing ?? false)),
    wide("IPIPMODE", ({ ipipMode }) => text(ipipMode ?? "Never")),
    wide("VXLANMODE", ({ vxlanMode }) => text(vxlanMode ?? "Never")),
    wide("DISABLED", ({ disabled }) => text(disabled ?? false)),
    wide("DISABLEBGPEXPORT", ({ disableBGPExport }) => text(disableBGPExport ?? false)),
    of("SELECTOR", ({ nodeSelector }) => text(nodeSelector ?? "all()")),
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
    { title: "NAMESPACE", value: ({ metadata }) => text(metadata.namespace ?? "") },
    { ...name, wide: true },
    of("WORKLOAD", ({ pod, workload }) => text(pod ?? workload ?? "")),
    of("NODE", ({ node }) => text(node)),
    of("NETWORKS", ({ ipNetworks }) => joined(ipNetworks)),
    of("INTERFACE", ({ interfaceName }) => text(interfaceName)),
    wide("CONTAINERID", ({ containerID }) => text(containerID)),
  ],
  Node: [name, labels],
  Namespace: [name, labels],
};

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

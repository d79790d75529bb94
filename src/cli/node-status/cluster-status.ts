/** What a cluster's datastore knows of this node. */
import { CoreError } from "../../errors/core-error.ts";
import { hostAffinity } from "../../ipam/model/affinity.ts";
import { isBlock } from "../../ipam/model/block.ts";
import { list, read, type Transaction } from "../../store/transaction.ts";
import type { Cli } from "../cli.ts";
import type { Cluster } from "../cluster.ts";
import { readStore } from "../store.ts";

export interface ClusterStatus extends Partial<Known> {
  readonly place: string;
  /** Why it does not answer. */
  readonly fault?: string;
}

interface Known {
  readonly isReady: boolean;
  readonly clusterGUID: string | undefined;
  readonly calicoVersion: string | undefined;
  /** `undefined`: the cluster has no node of the name. */
  readonly addresses: Readonly<Record<string, string>> | undefined;
  readonly blocks: readonly string[];
}

export async function clusterStatus(cli: Cli, { place }: Cluster): Promise<ClusterStatus> {
  try {
    return { place, ...(await readStore(cli, readCluster(cli.node))) };
  } catch (error) {
    if (error instanceof CoreError) return { place, fault: error.message };
    throw error;
  }
}

export function isWell({ fault, isReady, addresses }: ClusterStatus): boolean {
  return fault === undefined && isReady === true && addresses !== undefined;
}

interface ClusterSpec {
  readonly datastoreReady?: boolean;
  readonly clusterGUID?: string;
  readonly calicoVersion?: string;
}

function* readCluster(node: string): Transaction<Known> {
  const information = yield* read({ kind: "ClusterInformation", name: "default" });
  const { datastoreReady = true, clusterGUID, calicoVersion } = (information?.spec ?? {}) as ClusterSpec;
  const found = yield* read({ kind: "Node", name: node });
  const blocks = (yield* list("IPAMBlock", { node })).filter(isBlock);
  return {
    isReady: datastoreReady,
    clusterGUID,
    calicoVersion,
    addresses: found && addressesOf(found.spec as Fields),
    blocks: blocks.filter(({ spec }) => spec.affinity === hostAffinity(node)).map(({ spec }) => spec.cidr),
  };
}

type Fields = Readonly<Record<string, unknown>>;

/** By their fields in Calico's Node. */
const addressFields: Readonly<Record<string, readonly string[]>> = {
  IPv4: ["bgp", "ipv4Address"],
  IPv6: ["bgp", "ipv6Address"],
  "IPv4 VXLAN tunnel": ["ipv4VXLANTunnelAddr"],
  "IPv6 VXLAN tunnel": ["ipv6VXLANTunnelAddr"],
  "IPIP tunnel": ["bgp", "ipv4IPIPTunnelAddr"],
};

function addressesOf(spec: Fields): Readonly<Record<string, string>> {
  const found = Object.entries(addressFields).map(([name, path]) => {
    const value = path.reduce<unknown>((inner, part) => (inner as Fields | undefined)?.[part], spec);
    return [name, value] as const;
  });
  return Object.fromEntries(found.filter((entry): entry is readonly [string, string] => typeof entry[1] === "string"));
}

export function clusterText(node: string, { place, fault, isReady, ...known }: ClusterStatus): string {
  if (fault !== undefined) return `Datastore: ${place}: ${fault}.\n`;
  const { clusterGUID, calicoVersion, addresses, blocks = [] } = known;
  const state = isReady === true ? "ready" : "locked, for datastoreReady is false";
  const cluster = clusterGUID === undefined ? "" : `; cluster ${clusterGUID}`;
  const version = calicoVersion === undefined ? "" : `, Calico ${calicoVersion}`;
  const lines = [
    `Datastore: ${place}; ${state}${cluster}${version}.`,
    addresses === undefined ? `It has no node "${node}".` : `Node "${node}":`,
    ...Object.entries(addresses ?? {}).map(([name, address]) => `  ${name}: ${address}`),
    `  Blocks: ${blocks.length === 0 ? "none" : blocks.join(", ")}`,
  ];
  return `${lines.join("\n")}\n`;
}

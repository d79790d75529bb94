/** Clusters for tests of the network's plan, as the datastore's objects. */

import { type BlockFacts, blockFactsOf } from "../../../../src/agent/network/block-facts.ts";
import { planNetwork } from "../../../../src/agent/network/plan.ts";
import type { LocalLink, Snapshot } from "../../../../src/agent/network/snapshot.ts";
import type { NetworkEndpoint } from "../../../../src/cluster-network/network-endpoint.ts";
import { networkNodeOf } from "../../../../src/cluster-network/network-node.ts";
import { networkPoolOf } from "../../../../src/cluster-network/network-pool.ts";
import type { Kind, StoredObject } from "../../../../src/store/object.ts";

export function object(kind: Kind, name: string, spec: object): StoredObject {
  return { apiVersion: "projectcalico.org/v3", kind, metadata: { name }, spec };
}

export interface Cluster {
  readonly pools: readonly StoredObject[];
  readonly blocks: readonly StoredObject[];
  readonly nodes: readonly StoredObject[];
}

/** What one of its nodes sees. */
export function snapshotOf(
  { pools, blocks, nodes }: Cluster,
  node: string,
  links: readonly LocalLink[],
  more: Partial<Snapshot> = {},
): Snapshot {
  return {
    node,
    pools: pools.flatMap((pool) => networkPoolOf(pool) ?? []),
    blocks: blocks.flatMap((block): readonly BlockFacts[] => [blockFactsOf(block, node)].flatMap((one) => one ?? [])),
    nodes: new Map(nodes.map((one) => [one.metadata.name, networkNodeOf(one)])),
    links,
    settings: {},
    endpoints: [],
    usesBgp: false,
    hasIpv6: true,
    ...more,
  };
}

export function planned(snapshot: Snapshot) {
  return planNetwork(snapshot, { forwarding: [], nat: [] });
}

export interface Allocation {
  readonly ordinal: number;
  readonly node: string;
  readonly type?: string;
}

/** `owner`: a node. */
export function block(cidr: string, owner: string | undefined, allocations: readonly Allocation[] = []): StoredObject {
  const size = 2 ** ((cidr.includes(":") ? 128 : 32) - Number(cidr.split("/")[1]));
  const indexes = Array.from({ length: size }, (_, ordinal) => {
    const found = allocations.findIndex((one) => one.ordinal === ordinal);
    return found < 0 ? null : found;
  });
  return object("IPAMBlock", cidr.replace(/[.:/]/g, "-"), {
    cidr,
    ...(owner !== undefined && { affinity: `host:${owner}` }),
    sequenceNumber: 1,
    strictAffinity: false,
    deleted: false,
    allocations: indexes,
    unallocated: indexes.flatMap((index, ordinal) => (index === null ? [ordinal] : [])),
    attributes: allocations.map(({ node, type }, index) => ({
      handle_id: `h${index}`,
      secondary: { node, ...(type !== undefined && { type }) },
    })),
  });
}

/** A pod with floating IPs of both families. */
export const web: NetworkEndpoint = {
  name: "default/web",
  hostInterface: "cali1",
  nats: [
    { external: "198.51.100.5", internal: "10.0.0.5" },
    { external: "2001:db8::5", internal: "fd00::5" },
  ],
  sources: [],
};

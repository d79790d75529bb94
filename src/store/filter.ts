/** What a listing is narrowed to, so that nobody reads a cluster to find one node's. Every store applies all of it. */
import type { Family } from "../net/address.ts";
import type { StoredObject } from "./object.ts";

export interface Filter {
  /** Blocks that the node owns, its affinities. */
  readonly node?: string;
  /** Pools, blocks and affinities of the family. */
  readonly family?: Family;
  /** Handles whose ID begins with the network's name; whoever asks tells those of `a.b` from those of `a`. */
  readonly network?: string;
}

/** Whether a listing has the object. A spec that is not what its kind's is passes: whoever reads it shall see that it is damaged. */
export function matches({ kind, spec }: StoredObject, { node, family, network }: Filter): boolean {
  const { cidr, node: owner, affinity, handleID } = spec as Readonly<Record<string, unknown>>;
  if (family !== undefined && typeof cidr === "string" && cidr.includes(":") !== (family === 6)) return false;
  if (node !== undefined && kind === "BlockAffinity" && typeof owner === "string" && owner !== node) return false;
  if (node !== undefined && kind === "IPAMBlock" && affinity !== `host:${node}`) return false;
  if (network !== undefined && typeof handleID === "string") {
    return handleID.startsWith(`${network}.`) || handleID.startsWith(`${network}/`);
  }
  return true;
}

/** Narrows a listing, so that finding one node's objects does not read the whole cluster. Every store applies all of it. */
import type { Family } from "../net/address.ts";
import type { StoredObject } from "./object.ts";

export interface Filter {
  /** Blocks that the node owns, its affinities, and its endpoints. */
  readonly node?: string;
  /** Pools, blocks and affinities of the family. */
  readonly family?: Family;
  /** Handles whose ID starts with the network's name; the caller distinguishes `a.b` from `a`. */
  readonly network?: string;
}

/** Whether a listing includes the object. An invalid spec passes, so that the reader learns that it is damaged. */
export function matches({ kind, spec }: StoredObject, { node, family, network }: Filter): boolean {
  const { cidr, node: owner, affinity, handleID } = spec as Readonly<Record<string, unknown>>;
  if (family !== undefined && typeof cidr === "string" && cidr.includes(":") !== (family === 6)) return false;
  const isOfOneNode = kind === "BlockAffinity" || kind === "WorkloadEndpoint";
  if (node !== undefined && isOfOneNode && typeof owner === "string" && owner !== node) return false;
  if (node !== undefined && kind === "IPAMBlock" && affinity !== `host:${node}`) return false;
  if (network !== undefined && typeof handleID === "string") {
    return handleID.startsWith(`${network}.`) || handleID.startsWith(`${network}/`);
  }
  return true;
}

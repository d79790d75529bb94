/**
 * What routes need to know of a block: whose it is, and which of its addresses are used elsewhere. A cluster has thousands of blocks, and each node's
 * agent keeps these few fields of every one.
 */
import { attributeAt, type BlockSpec, isBlock } from "../../ipam/model/block.ts";
import { blockAddress } from "../../ipam/model/ordinal.ts";
import type { StoredObject } from "../../store/object.ts";
import { StoreError } from "../../store/store-error.ts";

export interface BlockFacts {
  readonly cidr: string;
  /** The node that owns it; `undefined`: none does. */
  readonly node: string | undefined;
  /** Addresses that a node other than the owner uses. */
  readonly borrowed: readonly Borrowed[];
  /** Whether a pod of the agent's own node has an address of it. */
  readonly hasOwnPods: boolean;
}

export interface Borrowed {
  readonly address: string;
  readonly node: string;
}

const ofNode = "host:";

/** `undefined`: the block is invalid, or belongs to no node but to services of a load balancer. */
export function blockFactsOf(object: StoredObject, ownNode: string): BlockFacts | undefined {
  if (!isBlock(object)) return undefined;
  const { spec } = object;
  const affinity = spec.affinity ?? undefined;
  if (affinity !== undefined && !affinity.startsWith(ofNode)) return undefined;
  const node = affinity?.slice(ofNode.length);
  const borrowed: Borrowed[] = [];
  let hasOwnPods = false;
  for (let ordinal = 0; ordinal < spec.allocations.length; ordinal++) {
    const user = userOf(spec, ordinal);
    if (user === undefined) continue;
    if (user.node === ownNode && !user.isTunnel) hasOwnPods = true;
    if (user.node !== node) borrowed.push({ address: blockAddress(spec, ordinal), node: user.node });
  }
  return { cidr: spec.cidr, node, borrowed, hasOwnPods };
}

/** The node that uses an address; `undefined` for one that is free, in its cooldown, or of an unknown node. */
function userOf(spec: BlockSpec, ordinal: number): { readonly node: string; readonly isTunnel: boolean } | undefined {
  if (spec.allocations[ordinal] == null) return undefined;
  const { node, type } = attributeIn(spec, ordinal) ?? {};
  return node === undefined || node === "" ? undefined : { node, isTunnel: type?.endsWith("TunnelAddress") === true };
}

/** An attribute that cannot be read costs one address its route, not the block. */
function attributeIn(spec: BlockSpec, ordinal: number): Readonly<Record<string, string>> | undefined {
  try {
    return attributeAt(spec, ordinal)?.secondary ?? undefined;
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    return undefined;
  }
}

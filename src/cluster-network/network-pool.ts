/** A pool with what the network between nodes needs to know of it: how packets to its addresses travel. */
import { decodePool, type Pool } from "../ipam/model/pool.ts";
import { contains, lengthOf } from "../net/prefix.ts";
import type { StoredObject } from "../store/object.ts";
import { StoreError } from "../store/store-error.ts";

/** The header that carries a packet to another node; `none`: the packet itself is sent to the node. */
export type Encapsulation = "vxlan" | "ipip" | "none";

export interface NetworkPool extends Pool {
  readonly encapsulation: Encapsulation;
  /** Encapsulates only packets to nodes outside of this node's subnet (`CrossSubnet`). */
  readonly onlyAcrossSubnets: boolean;
}

/** `undefined` if it is invalid: its addresses then have no routes. */
export function networkPoolOf(object: StoredObject): NetworkPool | undefined {
  let pool: Pool;
  try {
    pool = decodePool(object);
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    return undefined;
  }
  const { vxlanMode, ipipMode } = object.spec as { readonly vxlanMode?: unknown; readonly ipipMode?: unknown };
  const vxlan = modeOf(vxlanMode);
  const ipip = pool.family === 4 ? modeOf(ipipMode) : "Never";
  const encapsulation = vxlan !== "Never" ? "vxlan" : ipip !== "Never" ? "ipip" : "none";
  return { ...pool, encapsulation, onlyAcrossSubnets: (vxlan === "Never" ? ipip : vxlan) === "CrossSubnet" };
}

function modeOf(mode: unknown): "Always" | "CrossSubnet" | "Never" {
  return mode === "Always" || mode === "CrossSubnet" ? mode : "Never";
}

/** The pool of an address or a block. Pools do not overlap; if they do, the narrowest, and of equal ones the first by name. */
export function poolOf(pools: readonly NetworkPool[], addressOrPrefix: string): NetworkPool | undefined {
  let found: NetworkPool | undefined;
  for (const pool of pools) {
    if (!contains(pool.cidr, addressOrPrefix)) continue;
    const isBetter =
      found === undefined ||
      lengthOf(pool.cidr) > lengthOf(found.cidr) ||
      (pool.cidr === found.cidr && pool.name < found.name);
    if (isBetter) found = pool;
  }
  return found;
}

/**
 * Where each address of the pools is: a node for each block, and one for each address that is not where its block is.
 *
 *     block 10.0.0.0/26 of node a           10.0.0.0/26 ─► a
 *       10.0.0.5, borrowed by b             10.0.0.5/32 ─► b
 *     block 10.0.0.64/26 of no node
 *       10.0.0.65, used by c                10.0.0.65/32 ─► c
 *     tunnel address of d outside d's blocks  its /32 ─► d
 */

import { type Encapsulation, type NetworkPool, poolOf } from "../../cluster-network/network-pool.ts";
import type { Family } from "../../net/address.ts";
import { familyOf } from "../../net/address.ts";
import { hostPrefix, lengthOf, maskPrefix } from "../../net/prefix.ts";
import type { Snapshot } from "./snapshot.ts";

export interface Destination {
  /** A block, or one address with its full length. */
  readonly prefix: string;
  readonly node: string;
  readonly pool: NetworkPool;
  /** Of which of the node's devices it is the address. */
  readonly tunnel?: Encapsulation;
}

/** Those of one family, by prefix. An address outside of all pools is not among them. */
export function destinationsOf(snapshot: Snapshot, family: Family): ReadonlyMap<string, Destination> {
  const found = new Map<string, Destination>();
  const pools = snapshot.pools.filter((pool) => pool.family === family);
  for (const { cidr, node, borrowed } of snapshot.blocks) {
    const pool = familyOf(cidr) === family ? poolOf(pools, cidr) : undefined;
    if (pool === undefined) continue;
    if (node !== undefined) found.set(cidr, { prefix: cidr, node, pool });
    for (const { address, node: user } of borrowed) {
      const prefix = hostPrefix(address);
      // A block of one address that another node uses.
      found.set(prefix, { prefix, node: user, pool });
    }
  }
  for (const tunnel of tunnelsOf(snapshot, pools, family)) addTunnel(found, tunnel);
  return found;
}

function* tunnelsOf({ nodes }: Snapshot, pools: readonly NetworkPool[], family: Family): Generator<Destination> {
  for (const { name, vxlanAddresses, ipipAddress } of nodes.values()) {
    const addresses = [
      [vxlanAddresses[family], "vxlan"],
      [family === 4 ? ipipAddress : undefined, "ipip"],
    ] as const;
    for (const [address, tunnel] of addresses) {
      const pool = address === undefined ? undefined : poolOf(pools, address);
      if (address === undefined || pool?.encapsulation !== tunnel) continue;
      yield { prefix: hostPrefix(address), node: name, pool, tunnel };
    }
  }
}

/** Most are in a block of their node, whose route leads to them too. */
function addTunnel(found: Map<string, Destination>, tunnel: Destination): void {
  const { prefix, node, pool } = tunnel;
  const own = found.get(prefix);
  // Two nodes that name one address: the allocation decides.
  if (own !== undefined && own.node !== node) return;
  const isSingle = pool.blockSize === lengthOf(prefix);
  const block = isSingle
    ? undefined
    : found.get(maskPrefix(`${prefix.slice(0, prefix.indexOf("/"))}/${pool.blockSize}`));
  if (own === undefined && block?.node === node) return;
  found.set(prefix, tunnel);
}

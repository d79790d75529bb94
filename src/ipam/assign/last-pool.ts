/**
 * The last pool: with many pools, an assignment reads the one that it used last, and the others only if that has no room.
 *
 * **It is a hint**: the pool is read and checked before it is used. A node with few pools has no hint, because reading all is as cheap.
 */
import { CoreError } from "../../errors/core-error.ts";
import { contains } from "../../net/prefix.ts";
import type { StoredObject } from "../../store/object.ts";
import { read, type Transaction } from "../../store/transaction.ts";
import type { Assigned } from "../model/handle-contents.ts";
import { readScope } from "../model/labels.ts";
import { decodePool, type Pool, type PoolList } from "../model/pool.ts";
import { selectPools, type Wanted } from "./pool-selection.ts";

const minPools = 16;

/** The last used pool of each family, if all of them may still be used; `undefined` otherwise. */
export function* readLastPools(
  node: string,
  wanted: readonly Wanted[],
  namespace: string | undefined,
): Transaction<PoolList | undefined> {
  const pools: Pool[] = [];
  for (const one of wanted) {
    const reply = yield { op: "last pool", node, family: one.family };
    if (!("lastPool" in reply) || reply.lastPool.wanted !== one.pools.join(" ")) return undefined;
    const object = yield* read({ kind: "IPPool", name: reply.lastPool.pool });
    const pool = object === undefined ? undefined : yield* usable(object, one, node, namespace);
    if (pool === undefined) return undefined;
    pools.push(pool);
  }
  return wanted.length === 0 ? undefined : { pools, faults: [] };
}

/** Records the pools of these addresses if there are many pools. */
export function* noteLastPools(
  node: string,
  wanted: readonly Wanted[],
  { pools }: PoolList,
  assigned: readonly Assigned[],
): Transaction<void> {
  if (pools.length <= minPools) return;
  for (const { family, pools: names } of wanted) {
    const address = assigned.find((one) => one.family === family)?.address;
    const pool = address === undefined ? undefined : pools.find(({ cidr }) => contains(cidr, address));
    if (pool === undefined) continue;
    yield { op: "last pool", node, family, note: { pool: pool.name, wanted: names.join(" ") } };
  }
}

/** `undefined` if it may no longer be used. */
function* usable(
  object: StoredObject,
  wanted: Wanted,
  node: string,
  namespace: string | undefined,
): Transaction<Pool | undefined> {
  try {
    const pool = decodePool(object);
    const scope = yield* readScope([pool], node, namespace);
    // It is one of the requested pools, because its CIDR never changes.
    const named = wanted.pools.length === 0 ? [] : [pool.name];
    return selectPools({ pools: [pool], faults: [] }, { family: wanted.family, pools: named }, scope)[0];
  } catch (error) {
    if (!(error instanceof CoreError)) throw error;
    return undefined;
  }
}

/** Whether an ADD could get its addresses; assigns none. */
import type { Transaction } from "../../store/transaction.ts";
import { readScope } from "../model/labels.ts";
import { listPools, type Pool, type PoolList } from "../model/pool.ts";
import { NoAddressError } from "../no-address.ts";
import { hasFreeAddress } from "./free.ts";
import { selectPools, type Wanted } from "./pool-selection.ts";

/** The pools from which an ADD would assign an address of this family, and whether one has room. No pools: an ADD would create the first. */
export function* roomFor(
  wanted: Wanted,
  all: PoolList,
  node: string,
  now: bigint,
): Transaction<{ readonly pools: readonly Pool[]; readonly hasFree: boolean }> {
  if (!all.pools.some(({ family }) => family === wanted.family) && all.faults.length === 0) {
    return { pools: [], hasFree: true };
  }
  const pools = selectPools(all, wanted, yield* readScope(all.pools, node, undefined));
  for (const pool of pools) if (yield* hasFreeAddress(node, pool, now)) return { pools, hasFree: true };
  return { pools, hasFree: false };
}

/** Whether an ADD would fail because no address, or no matching pool, is available. `now` in nanoseconds since the epoch. */
export function* isExhausted(wanted: readonly Wanted[], node: string, now: bigint): Transaction<boolean> {
  const all = yield* listPools();
  try {
    for (const one of wanted) if (!(yield* roomFor(one, all, node, now)).hasFree) return true;
    return false;
  } catch (error) {
    if (error instanceof NoAddressError) return true;
    throw error;
  }
}

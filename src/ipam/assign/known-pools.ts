/**
 * Pools that an assignment has just read, for whoever plans around it in the same process: reading them again takes as long as the
 * assignment's own look at them.
 */
import type { PoolList } from "../model/pool.ts";

const known = new WeakMap<object, PoolList>();

/** `owner`: the operating system's door that they were read through. */
export function rememberPools(owner: object, pools: PoolList): void {
  known.set(owner, pools);
}

/** What was remembered, once: what comes later may find other pools. */
export function takePools(owner: object): PoolList | undefined {
  const pools = known.get(owner);
  known.delete(owner);
  return pools;
}

/** STATUS: whether an ADD could assign addresses now. */
import { CniError, code } from "../../src/cni/error.ts";
import { missingPools, type PoolContext } from "../../src/ipam/assign/default-pools.ts";
import type { Wanted } from "../../src/ipam/assign/pool-selection.ts";
import { roomFor } from "../../src/ipam/assign/room.ts";
import { listPools, type Pool } from "../../src/ipam/model/pool.ts";
import { collisionsOf } from "../../src/net/node-networks.ts";
import { protocolError } from "../../src/plugin/error-codes.ts";
import type { Datastore } from "../../src/store/datastore.ts";
import type { Transaction } from "../../src/store/transaction.ts";
import type { IpamConf } from "./conf.ts";

/** Throws `CniError` 50 with the reason. `now` in nanoseconds since the epoch. */
export function checkReadiness(
  conf: IpamConf,
  node: string,
  around: PoolContext,
  now: bigint,
  datastore: Datastore,
): void {
  try {
    datastore.transact(() => checkFamilies(conf.requests.wanted, node, around, now));
  } catch (error) {
    const refused = protocolError(error);
    if (refused === undefined) throw error;
    throw new CniError(code.pluginNotAvailable, refused.message, refused.details);
  }
}

function* checkFamilies(wanted: readonly Wanted[], node: string, around: PoolContext, now: bigint): Transaction<void> {
  const all = yield* listPools();
  // ADD cannot know whether a pod's address is in an unreadable pool.
  const damage = around.damagedPool();
  if (damage !== undefined) throw damage;
  // ADD creates the first pools of a family itself.
  if ((yield* missingPools(all, wanted, around)).length > 0) yield { op: "test", kind: "IPPool" };
  yield { op: "test", kind: "IPAMHandle" };
  for (const one of wanted) {
    const { pools, hasFree } = yield* roomFor(one, all, node, now);
    if (hasFree) {
      warnOfCollisions(pools, around);
      continue;
    }
    const cidrs = pools.map(({ cidr }) => cidr).join(" ");
    throw new CniError(
      code.pluginNotAvailable,
      `cannot assign IPv${one.family} addresses: No IPs available in pools: [${cidrs}]`,
    );
  }
}

/** The node's networks may have changed since the pool was created: pods work, except for the overlap. */
function warnOfCollisions(pools: readonly Pool[], { networks, warn }: PoolContext): void {
  for (const { name, cidr, family } of pools) {
    const node = networks(family);
    for (const { text } of node === undefined ? [] : collisionsOf(cidr, node))
      warn(`IPPool "${name}" (${cidr}) ${text}`);
  }
}

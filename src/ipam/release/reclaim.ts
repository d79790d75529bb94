/**
 * Reclaiming: empty blocks that the node will not take from again are given up, Calico's ensureConsistentAffinity.
 *
 * That is a block whose pool is gone or selects other nodes. **Blocks of the node's own pools stay**, empty or not: the next pod takes from them.
 */
import { canonicalPrefix, contains } from "../../net/prefix.ts";
import { list, type Transaction } from "../../store/transaction.ts";
import { selects } from "../assign/pool-selection.ts";
import { type AffinitySpec, readBlock, releaseBlock } from "../model/affinity.ts";
import { isEmpty } from "../model/block.ts";
import { readScope, type Scope } from "../model/labels.ts";
import { listPools, type Pool } from "../model/pool.ts";
import { NoAddressError } from "../no-address.ts";

/** The CIDRs of what was given up. Does nothing while a pool cannot be read: it may be the block's. */
export function* reclaimBlocks(node: string): Transaction<readonly string[]> {
  const { pools, faults } = yield* listPools();
  if (pools.length === 0 || faults.length > 0) return [];
  const scope = yield* readScope(pools, node, undefined);
  const reclaimed: string[] = [];
  for (const object of yield* list("BlockAffinity")) {
    const { node: owner, cidr } = object.spec as AffinitySpec;
    if (owner !== node || canonicalPrefix(cidr) !== cidr || isWanted(pools, scope, cidr)) continue;
    const block = yield* readBlock(cidr);
    if (block !== undefined && !isEmpty(block.spec)) continue;
    yield* releaseBlock(node, cidr);
    reclaimed.push(cidr);
  }
  return reclaimed;
}

/**
 * Gives up the empty blocks that are kept for nodes of other names, as this one may have had before. **For a store that is one node's alone**:
 * what such a block still has in use stays its own until its pods end. The CIDRs of what was given up.
 */
export function* reclaimFormerNodes(node: string): Transaction<readonly string[]> {
  const reclaimed: string[] = [];
  for (const object of yield* list("BlockAffinity")) {
    const { node: owner, cidr, type } = object.spec as Partial<Record<keyof AffinitySpec, string>>;
    if (owner === undefined || cidr === undefined || owner === node || type === "virtual") continue;
    const block = yield* readBlock(cidr);
    if (block !== undefined && !isEmpty(block.spec)) continue;
    yield* releaseBlock(owner, cidr);
    reclaimed.push(cidr);
  }
  return reclaimed;
}

/** Runs an assignment; where it finds no address, once more after `reclaimFormerNodes`. `undefined`: the store is not one node's. */
export function* retryReclaiming<T>(node: string | undefined, assign: () => Transaction<T>): Transaction<T> {
  try {
    return yield* assign();
  } catch (error) {
    if (!(error instanceof NoAddressError) || node === undefined) throw error;
    if ((yield* reclaimFormerNodes(node)).length === 0) throw error;
    return yield* assign();
  }
}

function isWanted(pools: readonly Pool[], scope: Scope, block: string): boolean {
  const pool = pools.find(({ cidr }) => contains(cidr, block));
  return pool !== undefined && selects({ ...pool, namespaceSelector: "" }, scope);
}

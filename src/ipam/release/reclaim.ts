/**
 * Releases empty blocks that the node will not use again, as Calico's ensureConsistentAffinity does: blocks whose pool was deleted or selects other
 * nodes. **Empty blocks of usable pools stay**: the next pod gets an address from them.
 */
import { canonicalPrefix, contains } from "../../net/prefix.ts";
import { list, type Transaction } from "../../store/transaction.ts";
import { selects } from "../assign/pool-selection.ts";
import { type AffinitySpec, readBlock, releaseBlock } from "../model/affinity.ts";
import { isEmpty } from "../model/block.ts";
import { readScope, type Scope } from "../model/labels.ts";
import { listPools, type Pool } from "../model/pool.ts";
import { NoAddressError } from "../no-address.ts";

/** The CIDRs of the released blocks. Does nothing while a pool cannot be read, because it may be the block's pool. */
export function* reclaimBlocks(node: string): Transaction<readonly string[]> {
  const { pools, faults } = yield* listPools();
  if (pools.length === 0 || faults.length > 0) return [];
  const scope = yield* readScope(pools, node, undefined);
  const reclaimed: string[] = [];
  for (const object of yield* list("BlockAffinity", { node })) {
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
 * Releases empty blocks of other node names, which this node may have had before. **Only for a store with a single node.** Blocks in use stay
 * until their pods end. Returns the CIDRs of the released blocks.
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

/** Runs an assignment, and again after `reclaimFormerNodes` if it finds no address. `node` is `undefined` in a store with several nodes. */
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

/**
 * Assignment: addresses for a handle, all that were asked for or none.
 *
 *     find blocks with room for every family → write the handle, which names them → write each block → turn the cursors
 *
 * **Nothing is taken before all of it is found.** **The handle is written first**, with counts made from what its blocks really hold: a
 * process that is killed in between leaves a handle that names a block without having anything in it, and the next ADD or DEL of the
 * attachment puts that right. **The same handle asking again gets what it holds.**
 */
import { CoreError } from "../../errors/core-error.ts";
import type { Family } from "../../net/address.ts";
import { hostPrefix } from "../../net/prefix.ts";
import { TooManyConflicts } from "../../store/too-many-conflicts.ts";
import { create, maxTries, type Transaction, update } from "../../store/transaction.ts";
import { type AllocationAttribute, assign, blockAddress, withSpec } from "../model/block.ts";
import { newHandle } from "../model/handle.ts";
import { type Assigned, addressesOf, type Held, type HeldBlock, readHeld } from "../model/held.ts";
import { readScope } from "../model/labels.ts";
import type { Pool, PoolList } from "../model/pool.ts";
import { type IpamConfig, listReservedCidrs, readIpamConfig, reservedIn } from "../model/settings.ts";
import { PoolsExhausted } from "../no-address.ts";
import { releaseByHandle } from "../release/release.ts";
import { findBlock, noteFull, type Search } from "./candidate.ts";
import { selectPools, type Wanted } from "./pool-selection.ts";

export interface Claimant {
  readonly handleId: string;
  readonly node: string;
  /** What is noted with each address (`secondary`). */
  readonly attributes: Readonly<Record<string, string>>;
  /** Nanoseconds since the epoch. */
  readonly now: bigint;
  /** All pools there are. */
  readonly pools: PoolList;
  /** Tells of an address in a pool (by its CIDR) that it is the node's; none is where nobody knows. */
  readonly nodes?: NodesOwn;
}

/** `range`: what else is the node's by the same reason, a prefix that holds the address. `reason`: after "it". */
export type NodesOwn = (
  address: string,
  pool: string,
) => { readonly range: string; readonly reason: string } | undefined;

export interface AssignRequest extends Claimant {
  readonly wanted: readonly (Wanted & { readonly count: number })[];
  /** Looks no further than the node's own blocks and new ones: whoever asks has other pools to try then. */
  readonly isFirstTry?: boolean;
  /** Addresses that are kept back beside those of reservations. */
  readonly reserved?: readonly string[];
}

/** A block to be written, with the ordinals that the handle gains in it. */
export interface Change extends HeldBlock {
  readonly pool: Pool;
}

/** Throws `NoAddressError` when not all addresses are to be had; then none is taken. */
export function* autoAssign(request: AssignRequest): Transaction<readonly Assigned[]> {
  return yield* assignWith(request, (held) => findChanges(request, held));
}

/**
 * Finds changes and writes them, again while others are faster; `find` gives none when all is there already.
 *
 * On an error everything that this call has written is taken back.
 */
export function* assignWith(
  claimant: Claimant,
  find: (held: Held) => Transaction<readonly Change[]>,
): Transaction<readonly Assigned[]> {
  const { handleId } = claimant;
  let before: ReadonlySet<string> | undefined;
  try {
    for (let tries = 0; tries < maxTries; tries++) {
      const held = yield* readHeld(handleId);
      const addresses = addressesOf(held);
      before ??= new Set(addresses.map(({ address }) => address));
      const changes = yield* find(held);
      if (changes.length === 0) return addresses;
      if (!(yield* writeChanges(claimant, held, changes))) continue;
      for (const { block, pool } of changes) {
        if (block.spec.unallocated.length === 0) yield* noteFull(claimant.node, pool.cidr, block.spec.cidr);
      }
      return addressesOf({ handle: held.handle, blocks: [...held.blocks, ...changes] });
    }
    throw new TooManyConflicts(`assign addresses to handle "${handleId}"`);
  } catch (error) {
    if (before !== undefined) yield* takeBack(handleId, before);
    throw error;
  }
}

export function attributeOf({ handleId, attributes }: Claimant): AllocationAttribute {
  return { handle_id: handleId, secondary: attributes };
}

function* findChanges(request: AssignRequest, held: Held): Transaction<readonly Change[]> {
  const missing = request.wanted
    .map((wanted) => ({ ...wanted, count: wanted.count - heldOf(held, wanted.family) }))
    .filter(({ count }) => count > 0);
  if (missing.length === 0) return [];
  const config = yield* readIpamConfig();
  const reservedCidrs = [...(yield* listReservedCidrs()), ...(request.reserved ?? []).map(hostPrefix)];
  const scope = yield* readScope(request.pools.pools, request.node, request.attributes.namespace);
  const { node, now, isFirstTry = false } = request;
  const changes: Change[] = [];
  for (const wanted of missing) {
    const search: Search = { node, now, config, reservedCidrs, taken: new Set(), isFirstTry, nodes: request.nodes };
    changes.push(
      ...(yield* findFor(request, search, wanted.count, wanted.family, selectPools(request.pools, wanted, scope))),
    );
  }
  return changes;
}

function heldOf(held: Held, family: Family): number {
  return addressesOf(held).filter((assigned) => assigned.family === family).length;
}

function* findFor(
  claimant: Claimant,
  search: Search,
  count: number,
  family: Family,
  pools: readonly Pool[],
): Transaction<readonly Change[]> {
  const changes: Change[] = [];
  const taken = new Set<string>();
  let { reservedCidrs } = search;
  let got = 0;
  while (got < count) {
    const found = yield* findBlock({ ...search, taken, reservedCidrs }, pools);
    if (found === undefined) throw exhausted(family, got, count, pools, search.config);
    const { block, pool } = found;
    const { cidr } = block.spec;
    const { spec, ordinals } = assign(block.spec, count - got, attributeOf(claimant), reservedIn(cidr, reservedCidrs));
    const own = ordinals.flatMap((ordinal) => search.nodes?.(blockAddress(block.spec, ordinal), pool.cidr) ?? []);
    if (own.length > 0) {
      reservedCidrs = [...reservedCidrs, ...own.map(({ range }) => range)];
      continue;
    }
    got += ordinals.length;
    taken.add(cidr);
    changes.push({ block: withSpec(block, spec), ordinals, pool });
  }
  return changes;
}

function exhausted(
  family: Family,
  assigned: number,
  requested: number,
  pools: readonly Pool[],
  { strictAffinity }: IpamConfig,
): PoolsExhausted {
  return new PoolsExhausted({ family, assigned, requested, pools: pools.map(({ cidr }) => cidr), strictAffinity });
}

/** Whether all is written; `false` when another process changed something meanwhile. */
function* writeChanges(claimant: Claimant, held: Held, changes: readonly Change[]): Transaction<boolean> {
  const counts: Record<string, number> = {};
  for (const { block, ordinals } of held.blocks) counts[block.spec.cidr] = ordinals.length;
  for (const { block, ordinals } of changes) {
    counts[block.spec.cidr] = (counts[block.spec.cidr] ?? 0) + ordinals.length;
  }
  const { handle } = held;
  const written =
    handle === undefined
      ? yield* create(newHandle(claimant.handleId, counts))
      : yield* update({ ...handle, spec: { ...handle.spec, block: counts } });
  if (written === undefined) return false;
  for (const { block } of changes) if ((yield* update(block)) === undefined) return false;
  return true;
}

/** The first error is the one to report: what fails in here is left for the next operation on the handle. */
function* takeBack(handleId: string, before: ReadonlySet<string>): Transaction<void> {
  try {
    yield* releaseByHandle(handleId, ({ address }) => !before.has(address));
  } catch (error) {
    if (!(error instanceof CoreError)) throw error;
  }
}

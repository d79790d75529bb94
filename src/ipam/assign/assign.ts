/**
 * Assigns addresses to a handle: all requested ones or none.
 *
 *     find blocks with room for every family → write the handle, which names them → write each block → turn the cursors
 *
 * **It writes nothing before it has found all addresses. It writes the handle first**, with counts computed from its blocks: a process killed in
 * between leaves a handle that names a block without addresses in it, which the attachment's next ADD or DEL corrects. **A repeated request of
 * the same handle returns the addresses that it holds.**
 */

import { CoreError } from "../../errors/core-error.ts";
import type { Family } from "../../net/address.ts";
import { hostPrefix } from "../../net/prefix.ts";
import { TooManyConflicts } from "../../store/too-many-conflicts.ts";
import { create, maxTries, pause, type Transaction, update } from "../../store/transaction.ts";
import { type AllocationAttribute, assign, withSpec } from "../model/block.ts";
import { type HandleSpec, newHandle } from "../model/handle.ts";
import {
  type Assigned,
  addressesOf,
  type HandleBlock,
  type HandleContents,
  readHandleContents,
} from "../model/handle-contents.ts";
import { readScope, type Scope } from "../model/labels.ts";
import { blockAddress } from "../model/ordinal.ts";
import type { Pool, PoolList } from "../model/pool.ts";
import { type IpamConfig, listReservedCidrs, readIpamConfig, reservedIn } from "../model/settings.ts";
import { NoAddressError } from "../no-address.ts";
import { releaseByHandle, writeHandle } from "../release/release.ts";
import { findBlock, type NodesOwn, noteFull, type Reach, type Search } from "./candidate.ts";
import { selectPools, type Wanted } from "./pool-selection.ts";

export interface AssignArgs {
  readonly handleId: string;
  readonly node: string;
  /** The attributes to store with each address (`secondary`). */
  readonly attributes: Readonly<Record<string, string>>;
  /** Nanoseconds since the epoch. */
  readonly now: bigint;
  /** All existing pools. */
  readonly pools: PoolList;
  /** Tells whether an address of a pool (given by its CIDR) belongs to the node; absent: not checked. */
  readonly nodes?: NodesOwn;
}

export interface AssignRequest extends AssignArgs {
  readonly wanted: readonly (Wanted & { readonly count: number })[];
  /** `"any"` unless the caller has an alternative. */
  readonly reach?: Reach;
  /** Addresses that are reserved in addition to reservations. */
  readonly reserved?: readonly string[];
}

/** A block to be written, with the ordinals that the handle gains in it. */
export interface Change extends HandleBlock {
  readonly pool: Pool;
}

/** Throws `NoAddressError` if not all addresses are available; it then assigns none. */
export function* autoAssign(request: AssignRequest): Transaction<readonly Assigned[]> {
  // Settings are read once for all attempts.
  let settings: Settings | undefined;
  return yield* assignWith(request, function* (held) {
    const missing = missingOf(request, held);
    if (missing.length === 0) return [];
    settings ??= yield* readSettings(request);
    return yield* findChanges(request, missing, settings);
  });
}

/**
 * Finds changes and writes them, and starts again after a conflict. `find` returns none if the handle has everything already.
 *
 * On an error it rolls back everything that this call has written.
 */
export function* assignWith(
  assignArgs: AssignArgs,
  find: (held: HandleContents) => Transaction<readonly Change[]>,
): Transaction<readonly Assigned[]> {
  const { handleId } = assignArgs;
  let before: ReadonlySet<string> | undefined;
  try {
    for (let tries = 0; tries < maxTries; tries++) {
      yield* pause(tries);
      const held = yield* readHandleContents(handleId);
      const addresses = addressesOf(held);
      before ??= new Set(addresses.map(({ address }) => address));
      const changes = yield* find(held);
      if (changes.length === 0) return addresses;
      if (!(yield* writeChanges(assignArgs, held, changes))) continue;
      for (const { block, pool } of changes) {
        if (block.spec.unallocated.length === 0) yield* noteFull(assignArgs.node, pool.cidr, block.spec.cidr);
      }
      return addressesOf({ handle: held.handle, blocks: [...held.blocks, ...changes] });
    }
    throw new TooManyConflicts(`assign addresses to handle "${handleId}"`);
  } catch (error) {
    if (before !== undefined) yield* takeBack(handleId, before);
    throw error;
  }
}

export function attributeOf({ handleId, attributes }: AssignArgs): AllocationAttribute {
  return { handle_id: handleId, secondary: attributes };
}

function missingOf({ wanted }: AssignRequest, held: HandleContents): AssignRequest["wanted"] {
  const missing = wanted.map((one) => ({ ...one, count: one.count - countHeld(held, one.family) }));
  return missing.filter(({ count }) => count > 0);
}

interface Settings {
  readonly config: IpamConfig;
  readonly reservedCidrs: readonly string[];
  readonly scope: Scope;
}

function* readSettings({ reserved = [], pools, node, attributes }: AssignRequest): Transaction<Settings> {
  const config = yield* readIpamConfig();
  const reservedCidrs = [...(yield* listReservedCidrs()), ...reserved.map(hostPrefix)];
  return { config, reservedCidrs, scope: yield* readScope(pools.pools, node, attributes.namespace) };
}

function* findChanges(
  request: AssignRequest,
  missing: AssignRequest["wanted"],
  { config, reservedCidrs, scope }: Settings,
): Transaction<readonly Change[]> {
  const { node, now, nodes, reach = "any" } = request;
  const changes: Change[] = [];
  for (const { count, ...wanted } of missing) {
    const search: Search = { node, now, config, reservedCidrs, taken: new Set(), reach, nodes };
    const pools = selectPools(request.pools, wanted, scope);
    changes.push(...(yield* findFor(request, search, count, wanted.family, pools)));
  }
  return changes;
}

function countHeld(held: HandleContents, family: Family): number {
  return addressesOf(held).filter((assigned) => assigned.family === family).length;
}

function* findFor(
  assignArgs: AssignArgs,
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
    const { spec, ordinals } = assign(
      block.spec,
      count - got,
      attributeOf(assignArgs),
      reservedIn(cidr, reservedCidrs),
    );
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
): NoAddressError {
  const cidrs = pools.map(({ cidr }) => cidr);
  return new NoAddressError({ why: "pools exhausted", family, assigned, requested, pools: cidrs, strictAffinity });
}

/** Whether everything was written; `false` after a conflict. */
function* writeChanges(assignArgs: AssignArgs, held: HandleContents, changes: readonly Change[]): Transaction<boolean> {
  const counts: Record<string, number> = {};
  for (const { block, ordinals } of held.blocks) counts[block.spec.cidr] = ordinals.length;
  for (const { block, ordinals } of changes) {
    counts[block.spec.cidr] = (counts[block.spec.cidr] ?? 0) + ordinals.length;
  }
  if (!(yield* writeCounts(assignArgs.handleId, held.handle, counts))) return false;
  for (const { block } of changes) if ((yield* update(block)) === undefined) return false;
  return true;
}

/** Writes the counts unless an earlier attempt has; `false` after a conflict. */
function* writeCounts(
  handleId: string,
  handle: HandleContents["handle"],
  counts: HandleSpec["block"],
): Transaction<boolean> {
  if (handle === undefined) return (yield* create(newHandle(handleId, counts))) !== undefined;
  return yield* writeHandle(handle, counts);
}

/** Reports the first error only: failures in here are left to the next operation on the handle. */
function* takeBack(handleId: string, before: ReadonlySet<string>): Transaction<void> {
  try {
    yield* releaseByHandle(handleId, ({ address }) => !before.has(address));
  } catch (error) {
    if (!(error instanceof CoreError)) throw error;
  }
}

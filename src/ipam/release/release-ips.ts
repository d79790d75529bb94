/**
 * Releases single addresses, guarded by optional expectations, as Calico's ReleaseIPs does.
 *
 *     {address, handle, sequenceNumber}     the handle and the block's number of the allocation that is meant
 *
 * **A failed guard refuses all addresses of its block**: the address was assigned again since. Other blocks are not affected.
 */
import { CoreError } from "../../errors/core-error.ts";
import { contains } from "../../net/prefix.ts";
import type { StoredObject } from "../../store/object.ts";
import { TooManyConflicts } from "../../store/too-many-conflicts.ts";
import { list, maxTries, pause, type Transaction } from "../../store/transaction.ts";
import { readBlock } from "../model/affinity.ts";
import { attributeAt, type Block, type BlockSpec, isCooldown, ordinalsOfHandle } from "../model/block.ts";
import { type HandleSpec, readHandle } from "../model/handle.ts";
import { type Assigned, assignedAt } from "../model/handle-contents.ts";
import { blockOrdinal } from "../model/ordinal.ts";
import { blockOf, listPools } from "../model/pool.ts";
import { sequenceNumberOf } from "../model/sequence-numbers.ts";
import { writeHandle, writeReleased } from "./release.ts";

export interface ReleaseOption {
  /** Canonical. */
  readonly address: string;
  readonly handle?: string;
  /** The block's number when the address was assigned. */
  readonly sequenceNumber?: bigint;
}

/** The address was assigned again since. */
class OtherAssignment extends CoreError {
  override readonly name = "OtherAssignment";
  readonly kind = "datastore";
  readonly address: string;

  constructor(address: string, reason: string) {
    super(`cannot release address ${address}: ${reason}`);
    this.address = address;
  }
}

export interface ReleasedIps {
  readonly released: readonly Assigned[];
  /** Addresses that were not assigned. */
  readonly unallocated: readonly string[];
  /** The errors of blocks that refused. */
  readonly errors: readonly CoreError[];
}

/** With `now` (nanoseconds since the epoch) the cooldown of IPAMConfig applies. */
export function* releaseIps(options: readonly ReleaseOption[], now?: bigint): Transaction<ReleasedIps> {
  const released: Assigned[] = [];
  const unallocated: string[] = [];
  const errors: CoreError[] = [];
  for (const [cidr, ofBlock] of yield* groupByBlock(options, unallocated)) {
    try {
      const outcome = yield* releaseFrom(cidr, ofBlock, now);
      released.push(...outcome.released);
      unallocated.push(...outcome.unallocated);
    } catch (error) {
      if (!(error instanceof CoreError)) throw error;
      errors.push(error);
    }
  }
  return { released, unallocated, errors };
}

/** Groups addresses by block, using the pools, or all blocks if a pool is gone. Duplicates count once. */
function* groupByBlock(
  options: readonly ReleaseOption[],
  unallocated: string[],
): Transaction<ReadonlyMap<string, readonly ReleaseOption[]>> {
  const { pools } = yield* listPools();
  const groups = new Map<string, ReleaseOption[]>();
  let blocks: readonly StoredObject[] | undefined;
  for (const option of new Map(options.map((one) => [one.address, one])).values()) {
    const { address } = option;
    const pool = pools.find(({ cidr }) => contains(cidr, address));
    let cidr = pool === undefined ? undefined : blockOf(pool, address);
    if (cidr === undefined || (yield* readBlock(cidr)) === undefined) {
      blocks ??= yield* list("IPAMBlock");
      cidr = blocks.map(({ spec }) => (spec as BlockSpec).cidr).find((range) => contains(range, address));
    }
    if (cidr === undefined) unallocated.push(address);
    else groups.set(cidr, [...(groups.get(cidr) ?? []), option]);
  }
  return groups;
}

function* releaseFrom(
  cidr: string,
  options: readonly ReleaseOption[],
  now: bigint | undefined,
): Transaction<Omit<ReleasedIps, "errors">> {
  for (let tries = 0; tries < maxTries; tries++) {
    yield* pause(tries);
    const block = yield* readBlock(cidr);
    if (block === undefined) return { released: [], unallocated: options.map(({ address }) => address) };
    const { spec } = block;
    const chosen: number[] = [];
    const unallocated: string[] = [];
    for (const option of options) {
      const ordinal = blockOrdinal(cidr, option.address) ?? 0;
      if (isFree(spec, ordinal)) unallocated.push(option.address);
      else chosen.push(guarded(spec, ordinal, option));
    }
    if (chosen.length === 0) return { released: [], unallocated };
    const handles = new Set(chosen.map((ordinal) => attributeAt(spec, ordinal)?.handle_id ?? ""));
    const written = yield* writeReleased(block, chosen, now);
    if (written === undefined) continue;
    for (const handle of handles) yield* recount(handle, written);
    return { released: chosen.map((ordinal) => assignedAt(spec, ordinal)), unallocated };
  }
  throw new TooManyConflicts(`release addresses of block ${cidr}`);
}

function isFree(spec: BlockSpec, ordinal: number): boolean {
  const attribute = attributeAt(spec, ordinal);
  return attribute === undefined || isCooldown(attribute);
}

/** The ordinal, if the guards match its allocation. */
function guarded(spec: BlockSpec, ordinal: number, { address, handle, sequenceNumber }: ReleaseOption): number {
  const owner = attributeAt(spec, ordinal)?.handle_id ?? "";
  if (handle !== undefined && handle !== owner) {
    throw new OtherAssignment(address, `wanted that of handle "${handle}", but it is of handle "${owner}"`);
  }
  const number = sequenceNumberOf(spec, ordinal);
  if (sequenceNumber !== undefined && sequenceNumber !== number) {
    const wanted = `wanted the assignment with sequence number ${sequenceNumber}`;
    throw new OtherAssignment(address, `${wanted}, and it was assigned again with ${number}`);
  }
  return ordinal;
}

/** Corrects a handle's count of one block to the block's own. */
function* recount(handleId: string, { spec }: Block): Transaction<void> {
  for (let tries = 0; tries < maxTries; tries++) {
    yield* pause(tries);
    const handle: StoredObject<HandleSpec> | undefined = yield* readHandle(handleId);
    if (handle === undefined) return;
    const { [spec.cidr]: _before, ...others } = handle.spec.block;
    const count = ordinalsOfHandle(spec, handleId).length;
    if (yield* writeHandle(handle, count === 0 ? others : { ...others, [spec.cidr]: count })) return;
  }
  throw new TooManyConflicts(`release handle "${handleId}"`);
}

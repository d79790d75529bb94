/**
 * Releases all or some addresses of a handle to their blocks.
 *
 *     write each block → remove the handle (or write its remaining counts)
 *
 * **The handle goes last**: a process that is killed in between leaves a handle that names blocks without its addresses, and the next release
 * removes it. Releasing nothing is success.
 */
import { CoreError } from "../../errors/core-error.ts";
import { contains } from "../../net/prefix.ts";
import { DamagedError } from "../../store/damage.ts";
import type { StoredObject } from "../../store/object.ts";
import { TooManyConflicts } from "../../store/too-many-conflicts.ts";
import { maxTries, pause, remove, type Transaction, update } from "../../store/transaction.ts";
import { noteOpen } from "../assign/candidate.ts";
import { hostAffinity, poolOfBlock, readBlock } from "../model/affinity.ts";
import {
  type AllocationAttribute,
  attributeAt,
  type Block,
  type BlockSpec,
  hasRoom,
  isEmpty,
  ordinalsOfHandle,
  type Reserved,
  release,
  releaseWithCooldown,
  withSpec,
} from "../model/block.ts";
import { type HandleSpec, readHandle } from "../model/handle.ts";
import { type Assigned, assignedAt } from "../model/handle-contents.ts";
import { listPools } from "../model/pool.ts";
import { listReservedCidrs, readIpamConfig, reservedIn } from "../model/settings.ts";

/** Chooses among the addresses of a handle. */
export type AllocationFilter = (
  assigned: Assigned,
  attribute: AllocationAttribute,
  block: Pick<BlockSpec, "affinity">,
) => boolean;

const everything: AllocationFilter = () => true;

/**
 * Releases those of the handle's addresses that `choice` selects. Returns the released ones.
 *
 * A block that cannot be read or written does not prevent the release of others: it stays in the handle, and its error is thrown at the end.
 *
 * `now` in nanoseconds since the epoch: if given, the cooldown of IPAMConfig applies; without it addresses are free at once, for addresses that
 * were never used.
 */
export function* releaseByHandle(
  handleId: string,
  choice: AllocationFilter = everything,
  now?: bigint,
): Transaction<readonly Assigned[]> {
  const released: Assigned[] = [];
  for (let tries = 0; tries < maxTries; tries++) {
    yield* pause(tries);
    const handle = yield* readHandle(handleId);
    if (handle === undefined) return released;
    const kept: Record<string, number> = {};
    let failure: CoreError | undefined;
    for (const [cidr, count] of Object.entries(handle.spec.block)) {
      try {
        const outcome = yield* releaseInBlock(cidr, handleId, choice, now);
        released.push(...outcome.released);
        if (outcome.kept > 0) kept[cidr] = outcome.kept;
      } catch (error) {
        if (!(error instanceof CoreError)) throw error;
        failure ??= error;
        kept[cidr] = count;
      }
    }
    if (!(yield* writeHandle(handle, kept))) continue;
    if (failure !== undefined) throw failure;
    return released;
  }
  throw new TooManyConflicts(`release handle "${handleId}"`);
}

interface Outcome {
  readonly released: readonly Assigned[];
  /** The number of addresses that the handle keeps. */
  readonly kept: number;
}

function* releaseInBlock(
  cidr: string,
  handleId: string,
  choice: AllocationFilter,
  now: bigint | undefined,
): Transaction<Outcome> {
  for (let tries = 0; tries < maxTries; tries++) {
    yield* pause(tries);
    const block = yield* readBlock(cidr);
    if (block === undefined) return { released: [], kept: 0 };
    const { spec } = block;
    const held = ordinalsOfHandle(spec, handleId);
    const chosen = held.filter((ordinal) => choice(assignedAt(spec, ordinal), attributeAt(spec, ordinal) ?? {}, spec));
    const outcome = {
      released: chosen.map((ordinal) => assignedAt(spec, ordinal)),
      kept: held.length - chosen.length,
    };
    if (chosen.length === 0) return outcome;
    if ((yield* writeReleased(block, chosen, now)) !== undefined) return outcome;
  }
  throw new TooManyConflicts(`release handle "${handleId}" in block ${cidr}`);
}

/** The block after the release, stored or removed; `undefined` if another process changed it meanwhile. */
export function* writeReleased(
  block: Block,
  ordinals: readonly number[],
  now: bigint | undefined,
): Transaction<Block | undefined> {
  const { spec } = block;
  const cools = now !== undefined && (yield* hasCooldown());
  const after = cools ? releaseWithCooldown(spec, ordinals, rfc3339(now)) : release(spec, ordinals);
  // A block without an owner exists only for its addresses.
  const orphaned = typeof spec.affinity !== "string" && isEmpty(after);
  const done = orphaned ? yield* remove(block) : yield* update(withSpec(block, after));
  if (!done) return undefined;
  yield* noteRoom(spec);
  return withSpec(block, after);
}

/** Invalid settings do not prevent a release. */
function* hasCooldown(): Transaction<boolean> {
  try {
    return (yield* readIpamConfig()).ipCooldownSeconds > 0;
  } catch (error) {
    if (!(error instanceof DamagedError)) throw error;
    return false;
  }
}

function rfc3339(now: bigint): string {
  return new Date(Number(now / 1_000_000n)).toISOString();
}

/** Updates the owner's cursor: a full block has room again. */
function* noteRoom(before: BlockSpec): Transaction<void> {
  const owner = hostAffinity("");
  if (typeof before.affinity !== "string" || !before.affinity.startsWith(owner)) return;
  if (before.unallocated.length > 0 && hasRoom(before, yield* reservedOf(before.cidr))) return;
  const node = before.affinity.slice(owner.length);
  const pool = (yield* poolOfBlock(node, before.cidr)) ?? (yield* poolByList(before.cidr));
  if (pool !== undefined) yield* noteOpen(node, pool, before.cidr);
}

/** For a hint only. */
function* reservedOf(block: string): Transaction<Reserved> {
  try {
    return reservedIn(block, yield* listReservedCidrs());
  } catch (error) {
    if (!(error instanceof DamagedError)) throw error;
    return reservedIn(block, []);
  }
}

function* poolByList(block: string): Transaction<string | undefined> {
  return (yield* listPools()).pools.find(({ cidr }) => contains(cidr, block))?.cidr;
}

/** Writes the handle's blocks, or removes the handle if there are none; `false` after a conflict. */
export function* writeHandle(
  handle: StoredObject<HandleSpec>,
  block: Readonly<Record<string, number>>,
): Transaction<boolean> {
  const cidrs = Object.keys(block);
  if (cidrs.length === 0) return yield* remove(handle);
  const before = handle.spec.block;
  if (cidrs.length === Object.keys(before).length && cidrs.every((cidr) => block[cidr] === before[cidr])) return true;
  return (yield* update({ ...handle, spec: { ...handle.spec, block } })) !== undefined;
}

/**
 * The search for a block with room, cheapest first: the one in use, one that has room again, a new one, and only then all of them.
 *
 *     findOpen       the cursor's current block and queue: no full block is read
 *     findNew        claims the next block of the pool that nobody has
 *     findAnywhere   reads every block: finds what cursors forgot, and what may be borrowed from other nodes
 */
import { addressCount, contains } from "../../net/prefix.ts";
import { list, type Transaction } from "../../store/transaction.ts";
import { type AffinitySpec, claimBlock, hostAffinity, readBlock } from "../model/affinity.ts";
import { type Block, blockAddress, expireCooldowns, hasRoom, isBlock, withSpec } from "../model/block.ts";
import { blockAt, blockCount, blocksToEnd, type Pool } from "../model/pool.ts";
import { coveringReservation, type IpamConfig, reservedIn } from "../model/settings.ts";
import { BlockLimitReached } from "../no-address.ts";
import type { NodesOwn } from "./assign.ts";
import { type Cursor, moved, nextOpen, pushOpen, readCursor, saveCursor } from "./cursor.ts";

/** What the search knows. */
export interface Search {
  readonly node: string;
  /** Nanoseconds since the epoch. */
  readonly now: bigint;
  readonly config: IpamConfig;
  readonly reservedCidrs: readonly string[];
  readonly nodes?: NodesOwn | undefined;
  /** Blocks that this operation has taken from already, by CIDR. */
  readonly taken: ReadonlySet<string>;
  /** Whether there are other pools to try before all blocks are read. */
  readonly isFirstTry: boolean;
}

export interface Found {
  readonly block: Block;
  readonly pool: Pool;
}

/** A block with room, in the first pool that has one. `undefined` when all pools are full. */
export function* findBlock(search: Search, pools: readonly Pool[]): Transaction<Found | undefined> {
  for (const find of search.isFirstTry ? [findOpen, findNew] : [findOpen, findNew, findAnywhere]) {
    for (const pool of pools) {
      const block = yield* find(search, pool);
      if (block !== undefined) return { block, pool };
    }
  }
  return undefined;
}

/** Notes that a block of a pool (by its CIDR) has become full: the cursor turns to the next one. */
export function* noteFull(node: string, pool: string, cidr: string): Transaction<void> {
  const cursor = yield* readCursor(node, pool);
  if (cursor.spec.current === cidr) yield* saveCursor(cursor, yield* nextOpen(cursor));
}

/** Notes that a block that was full has room again. */
export function* noteOpen(node: string, pool: string, cidr: string): Transaction<void> {
  const cursor = yield* readCursor(node, pool);
  yield* saveCursor(cursor, yield* pushOpen(cursor, cidr));
}

function* findOpen(search: Search, pool: Pool): Transaction<Block | undefined> {
  const stored = yield* readCursor(search.node, pool.cidr);
  let cursor = stored;
  let found: Block | undefined;
  while (cursor.spec.current !== undefined) {
    const stored = yield* readBlock(cursor.spec.current);
    const block = stored !== undefined && search.config.ipCooldownSeconds > 0 ? thawed(search, stored) : stored;
    if (block !== undefined && isOurs(search, block) && isUsable(search, block)) {
      found = block;
      break;
    }
    cursor = yield* nextOpen(cursor);
  }
  yield* saveCursor(stored, cursor);
  return found;
}

function* findNew(search: Search, pool: Pool): Transaction<Block | undefined> {
  const cursor = yield* readCursor(search.node, pool.cidr);
  return yield* claimFrom(search, pool, cursor, BigInt(cursor.spec.probed));
}

/** Claims the first block at `start` or later that can be had. */
function* claimFrom(search: Search, pool: Pool, cursor: Cursor, start: bigint): Transaction<Block | undefined> {
  if (!search.config.autoAllocateBlocks) return undefined;
  const count = blockCount(pool);
  for (let probed = start; probed < count; probed++) {
    const cidr = blockAt(pool, search.node, probed);
    const reserved = coveringReservation(cidr, search.reservedCidrs) ?? coveringNetwork(search, pool, cidr);
    if (reserved !== undefined) probed += blocksToEnd(pool, search.node, probed, reserved) - 1n;
    if (reserved !== undefined || search.taken.has(cidr)) continue;
    if ((yield* readBlock(cidr)) === undefined) yield* checkLimit(search, pool);
    const block = yield* claimBlock({ node: search.node, pool: pool.cidr, now: search.now }, cidr);
    if (block === undefined || !isUsable(search, block)) continue;
    yield* saveCursor(cursor, moved(cursor, { probed: probed + 1n, current: cidr }));
    return block;
  }
  yield* saveCursor(cursor, cursor.spec.probed === count ? cursor : moved(cursor, { probed: count }));
  return undefined;
}

/** The network of the node that covers a block whole. At its ends: one of them may be an address of the node itself, or its broadcast address. */
function coveringNetwork({ nodes }: Search, pool: Pool, cidr: string): string | undefined {
  if (nodes === undefined) return undefined;
  const last = Number(addressCount(cidr)) - 1;
  const found = [0, last].flatMap((ordinal) => nodes(blockAddress({ cidr }, ordinal), pool.cidr) ?? []);
  return found.find(({ range }) => contains(range, cidr))?.range;
}

function* findAnywhere(search: Search, pool: Pool): Transaction<Block | undefined> {
  const blocks = (yield* list("IPAMBlock"))
    .filter(isBlock)
    .filter(({ spec }) => contains(pool.cidr, spec.cidr))
    .map((block) => thawed(search, block));
  const usable = blocks.filter((block) => isUsable(search, block));
  const ours = usable.filter((block) => isOurs(search, block));
  const stored = yield* readCursor(search.node, pool.cidr);
  if (ours.length > 0) {
    // The cursor learns them again, so that the next search is short.
    let cursor = stored;
    for (const { spec } of ours) cursor = yield* pushOpen(cursor, spec.cidr);
    yield* saveCursor(stored, cursor);
    return ours[0];
  }
  // Blocks that were given up, or whose reservation has ended, lie behind the cursor.
  const forgotten = BigInt(blocks.length) < blockCount(pool) ? yield* claimFrom(search, pool, stored, 0n) : undefined;
  return forgotten ?? (search.config.strictAffinity ? undefined : usable[0]);
}

/** With the addresses free that have cooled down by now. */
function thawed({ config, now }: Search, block: Block): Block {
  const spec = expireCooldowns(block.spec, config.ipCooldownSeconds, now);
  return spec === block.spec ? block : withSpec(block, spec);
}

function isOurs({ node }: Search, { spec }: Block): boolean {
  return spec.affinity === hostAffinity(node);
}

function isUsable({ taken, reservedCidrs }: Search, { spec }: Block): boolean {
  return !spec.deleted && !taken.has(spec.cidr) && hasRoom(spec, reservedIn(spec.cidr, reservedCidrs));
}

/** Throws `BlockLimitReached` when the node may own no further block. Reads all affinities, and only where a limit is set. */
function* checkLimit({ node, config }: Search, { family }: Pool): Transaction<void> {
  const limit = config.maxBlocksPerHost;
  if (limit <= 0) return;
  const specs = (yield* list("BlockAffinity")).map(({ spec }) => spec as AffinitySpec);
  const owned = specs.filter((spec) => spec.node === node && spec.cidr.includes(":") === (family === 6));
  if (owned.length < limit) return;
  throw new BlockLimitReached(family, limit);
}

/**
 * Searches for a block with room, in order of cost: the current one, one that has room again, a new one, and only then all of them.
 *
 *     findOpen       follows the store's hints: no full block is read
 *     findNew        claims the pool's next unclaimed block
 *     findAnywhere   reads every block: finds what the hints missed, and addresses to borrow from other nodes
 */
import { addressCount, contains } from "../../net/prefix.ts";
import { hintRoom, list, type Transaction } from "../../store/transaction.ts";
import { type AffinitySpec, claimBlock, hostAffinity, readBlock } from "../model/affinity.ts";
import { type Block, expireCooldowns, hasRoom, isBlock, withSpec } from "../model/block.ts";
import { blockAddress } from "../model/ordinal.ts";
import { blockAt, blockCount, blocksToEnd, type Pool } from "../model/pool.ts";
import { coveringReservation, type IpamConfig, reservedIn } from "../model/settings.ts";
import { NoAddressError } from "../no-address.ts";

/** The input of the search. */
export interface Search {
  readonly node: string;
  /** Nanoseconds since the epoch. */
  readonly now: bigint;
  readonly config: IpamConfig;
  readonly reservedCidrs: readonly string[];
  readonly nodes?: NodesOwn | undefined;
  /** The CIDRs of blocks that this operation has assigned from already. */
  readonly taken: ReadonlySet<string>;
  readonly reach: Reach;
}

/** The scope of the search: blocks of the node, also new ones, or all, including those of other nodes. */
export type Reach = "own" | "new" | "any";

export interface Found {
  readonly block: Block;
  readonly pool: Pool;
}

const searches = {
  own: [findOpen],
  new: [findOpen, findNew],
  any: [findOpen, findNew, findAnywhere],
} as const;

/** A block with room, in the first pool that has one. `undefined` if all pools are full. */
export function* findBlock(search: Search, pools: readonly Pool[]): Transaction<Found | undefined> {
  for (const find of searches[search.reach]) {
    for (const pool of pools) {
      const block = yield* find(search, pool);
      if (block !== undefined) return { block, pool };
    }
  }
  return undefined;
}

/** Updates the store's hints: a block of a pool (given by its CIDR) has become full. */
export function* noteFull(node: string, pool: string, cidr: string): Transaction<void> {
  yield* hintRoom(node, pool, { op: "full", cidr });
}

/** Updates the store's hints: a full block has room again. */
export function* noteOpen(node: string, pool: string, cidr: string): Transaction<void> {
  yield* hintRoom(node, pool, { op: "open", cidrs: [cidr] });
}

function* findOpen(search: Search, pool: Pool): Transaction<Block | undefined> {
  let room = yield* hintRoom(search.node, pool.cidr, { op: "look" });
  if (room === undefined) return yield* findOwned(search, pool);
  while (room?.current !== undefined) {
    const cidr: string = room.current;
    const block = yield* usableBlock(search, cidr);
    if (block !== undefined) return block;
    room = yield* hintRoom(search.node, pool.cidr, { op: "full", cidr });
  }
  return undefined;
}

/** Without hints: tests all blocks of the node, whose number is limited. */
function* findOwned(search: Search, pool: Pool): Transaction<Block | undefined> {
  for (const { spec } of yield* list("BlockAffinity", { node: search.node, family: pool.family })) {
    const { cidr } = spec as AffinitySpec;
    const block = contains(pool.cidr, cidr) ? yield* usableBlock(search, cidr) : undefined;
    if (block !== undefined) return block;
  }
  return undefined;
}

/** The block, if it belongs to the node and has room. */
function* usableBlock(search: Search, cidr: string): Transaction<Block | undefined> {
  const stored = yield* readBlock(cidr);
  const block =
    stored !== undefined && search.config.ipCooldownSeconds > 0 ? withoutExpiredCooldowns(search, stored) : stored;
  return block !== undefined && isOurs(search, block) && isUsable(search, block) ? block : undefined;
}

function* findNew(search: Search, pool: Pool): Transaction<Block | undefined> {
  const room = yield* hintRoom(search.node, pool.cidr, { op: "look" });
  return yield* claimFrom(search, pool, room?.probed ?? 0n);
}

/** How many unavailable blocks a search meets before it asks which ones other nodes have: a listing costs as much as many of its requests. */
const maxMisses = 5;

/** Claims the first available block from index `start` on. */
function* claimFrom(search: Search, pool: Pool, start: bigint): Transaction<Block | undefined> {
  if (!search.config.autoAllocateBlocks) return undefined;
  const count = blockCount(pool);
  let others: ReadonlySet<string> | undefined;
  for (let [probed, misses] = [start, 0]; probed < count; probed++) {
    const cidr = blockAt(pool, search.node, probed);
    const reserved = coveringReservation(cidr, search.reservedCidrs) ?? coveringNetwork(search, pool, cidr);
    if (reserved !== undefined) probed += blocksToEnd(pool, search.node, probed, reserved) - 1n;
    if (reserved !== undefined || search.taken.has(cidr)) continue;
    if (misses >= maxMisses) others ??= yield* blocksOfOthers(search, pool);
    if (others?.has(cidr)) continue;
    if ((yield* readBlock(cidr)) === undefined) yield* checkLimit(search, pool);
    const block = yield* claimBlock({ node: search.node, pool: pool.cidr, now: search.now }, cidr);
    if (block === undefined || !isUsable(search, block)) {
      misses++;
      continue;
    }
    yield* hintRoom(search.node, pool.cidr, { op: "claimed", probed: probed + 1n, current: cidr });
    return block;
  }
  yield* hintRoom(search.node, pool.cidr, { op: "claimed", probed: count, current: undefined });
  return undefined;
}

/** The CIDRs of blocks that other nodes have claimed. A claim that is not finished may be given up: its block decides. */
function* blocksOfOthers({ node }: Search, { family }: Pool): Transaction<ReadonlySet<string>> {
  const affinities = (yield* list("BlockAffinity", { family })).map(({ spec }) => spec as AffinitySpec);
  const claimed = affinities.filter((one) => one.node !== node && (one.state === "confirmed" || one.state === ""));
  return new Set(claimed.map(({ cidr }) => cidr));
}

/** The network of the node that contains the whole block. Tests both ends, which may be the node's own or a broadcast address. */
function coveringNetwork({ nodes }: Search, pool: Pool, cidr: string): string | undefined {
  if (nodes === undefined) return undefined;
  const last = Number(addressCount(cidr)) - 1;
  const found = [0, last].flatMap((ordinal) => nodes(blockAddress({ cidr }, ordinal), pool.cidr) ?? []);
  return found.find(({ range }) => contains(range, cidr))?.range;
}

function* findAnywhere(search: Search, pool: Pool): Transaction<Block | undefined> {
  const blocks = (yield* list("IPAMBlock", { family: pool.family }))
    .filter(isBlock)
    .filter(({ spec }) => contains(pool.cidr, spec.cidr))
    .map((block) => withoutExpiredCooldowns(search, block));
  const usable = blocks.filter((block) => isUsable(search, block));
  const ours = usable.filter((block) => isOurs(search, block));
  if (ours.length > 0) {
    // Restores the store's hints, so that the next search is short.
    yield* hintRoom(search.node, pool.cidr, { op: "open", cidrs: ours.map(({ spec }) => spec.cidr) });
    return ours[0];
  }
  // Released blocks, and those whose reservation has ended, come before the probed position.
  const forgotten = BigInt(blocks.length) < blockCount(pool) ? yield* claimFrom(search, pool, 0n) : undefined;
  return forgotten ?? (search.config.strictAffinity ? undefined : usable[0]);
}

/** The block with addresses whose cooldown has ended as free. */
function withoutExpiredCooldowns({ config, now }: Search, block: Block): Block {
  const spec = expireCooldowns(block.spec, config.ipCooldownSeconds, now);
  return spec === block.spec ? block : withSpec(block, spec);
}

function isOurs({ node }: Search, { spec }: Block): boolean {
  return spec.affinity === hostAffinity(node);
}

function isUsable({ taken, reservedCidrs }: Search, { spec }: Block): boolean {
  return !spec.deleted && !taken.has(spec.cidr) && hasRoom(spec, reservedIn(spec.cidr, reservedCidrs));
}

/** Throws `NoAddressError` if the node has reached `maxBlocksPerHost`. Reads all affinities, but only if a limit is set. */
function* checkLimit({ node, config }: Search, { family }: Pool): Transaction<void> {
  const limit = config.maxBlocksPerHost;
  if (limit <= 0) return;
  if ((yield* list("BlockAffinity", { node, family })).length < limit) return;
  throw new NoAddressError({ why: "block limit", family, limit });
}

/** `range`: the prefix that contains the address and is excluded for the same reason. `reason`: follows "it". */
export type NodesOwn = (
  address: string,
  pool: string,
) => { readonly range: string; readonly reason: string } | undefined;

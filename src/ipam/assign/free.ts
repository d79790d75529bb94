/** Whether an address could be assigned now; changes nothing. */
import { contains } from "../../net/prefix.ts";
import { hintRoom, list, type Transaction } from "../../store/transaction.ts";
import { hostAffinity, readBlock } from "../model/affinity.ts";
import { type Block, expireCooldowns, hasRoom, isBlock, isEmpty } from "../model/block.ts";
import { blockCount, type Pool } from "../model/pool.ts";
import { listReservedCidrs, readIpamConfig, reservedIn } from "../model/settings.ts";

/** Follows the store's hint first; reads all blocks only if the block in use has no room. `now` in nanoseconds since the epoch. */
export function* hasFreeAddress(node: string, pool: Pool, now: bigint): Transaction<boolean> {
  const reservedCidrs = yield* listReservedCidrs();
  const config = yield* readIpamConfig();
  const roomy = ({ spec }: Block) =>
    hasRoom(expireCooldowns(spec, config.ipCooldownSeconds, now), reservedIn(spec.cidr, reservedCidrs));
  const current = (yield* hintRoom(node, pool.cidr, { op: "look" }))?.current;
  const block = current === undefined ? undefined : yield* readBlock(current);
  if (block !== undefined && roomy(block)) return true;
  const blocks = (yield* list("IPAMBlock", { family: pool.family }))
    .filter(isBlock)
    .filter(({ spec }) => contains(pool.cidr, spec.cidr));
  const owned = blocks.filter(({ spec }) => spec.affinity === hostAffinity(node));
  const mayClaim =
    config.autoAllocateBlocks && (config.maxBlocksPerHost <= 0 || owned.length < config.maxBlocksPerHost);
  if (mayClaim && BigInt(blocks.length) < blockCount(pool)) return true;
  // The ADD that needs it releases an empty block of another node name.
  const usable = config.strictAffinity
    ? blocks.filter((block) => owned.includes(block) || isEmpty(block.spec))
    : blocks;
  return usable.some(roomy);
}

/** The contents of a handle: the blocks that it names, and its ordinals in each. */
import type { Family } from "../../net/address.ts";
import { familyOf } from "../../net/address.ts";
import type { StoredObject } from "../../store/object.ts";
import type { Transaction } from "../../store/transaction.ts";
import { readBlock } from "./affinity.ts";
import { type Block, type BlockSpec, ordinalsOfHandle } from "./block.ts";
import { type HandleSpec, readHandle } from "./handle.ts";
import { blockAddress } from "./ordinal.ts";

export interface HandleBlock {
  readonly block: Block;
  readonly ordinals: readonly number[];
}

export interface HandleContents {
  /** As stored; `undefined` if there is none. */
  readonly handle: StoredObject<HandleSpec> | undefined;
  /** The blocks that have ordinals of the handle: **the block decides, not the handle's counts**. */
  readonly blocks: readonly HandleBlock[];
}

/** An assigned address. */
export interface Assigned {
  readonly address: string;
  readonly family: Family;
  /** The CIDR of its block. */
  readonly block: string;
}

export function* readHandleContents(handleId: string): Transaction<HandleContents> {
  const handle = yield* readHandle(handleId);
  const blocks: HandleBlock[] = [];
  for (const cidr in handle?.spec.block) {
    const block = yield* readBlock(cidr);
    if (block === undefined) continue;
    const ordinals = ordinalsOfHandle(block.spec, handleId);
    if (ordinals.length > 0) blocks.push({ block, ordinals });
  }
  return { handle, blocks };
}

export function assignedAt(spec: BlockSpec, ordinal: number): Assigned {
  return { address: blockAddress(spec, ordinal), family: familyOf(spec.cidr), block: spec.cidr };
}

/** IPv4 first, in ascending order. */
export function addressesOf({ blocks }: HandleContents): readonly Assigned[] {
  const all = blocks.flatMap(({ block: { spec }, ordinals }) => ordinals.map((ordinal) => assignedAt(spec, ordinal)));
  return all.sort((one, other) => one.family - other.family);
}

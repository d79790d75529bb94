/**
 * Hints: where a node finds its next address, for a store that can keep them cheaply. **They are only hints**: whatever a hint names is read and
 * checked before use, and a store without hints returns none.
 */
import type { Family } from "../net/address.ts";

/** Where a node looks for room in a pool. */
export interface Room {
  /** The block in use, by CIDR. */
  readonly current: string | undefined;
  /** How many of the pool's blocks, from the node's start, a claim can skip. */
  readonly probed: bigint;
}

export type RoomHint =
  | { readonly op: "look" }
  /** This block is full: if it is the block in use, the next one replaces it. */
  | { readonly op: "full"; readonly cidr: string }
  /** These blocks have room again. */
  | { readonly op: "open"; readonly cidrs: readonly string[] }
  /** The blocks before `probed` have been looked at, and `current` was claimed. */
  | { readonly op: "claimed"; readonly probed: bigint; readonly current: string | undefined };

/** The pool of the last assignment. */
export interface LastPool {
  /** Its name. */
  readonly pool: string;
  /** The pools that were requested. */
  readonly wanted: string;
}

export type HintRequest =
  | { readonly op: "room"; readonly node: string; readonly pool: string; readonly hint: RoomHint }
  /** Forgets a deleted pool, by its CIDR. */
  | { readonly op: "forget room"; readonly pool: string }
  /** Reads the pool of the last assignment; with `note`, replaces it. */
  | { readonly op: "last pool"; readonly node: string; readonly family: Family; readonly note?: LastPool };

export type HintReply = { readonly room: Room } | { readonly lastPool: LastPool } | { readonly nothing: true };

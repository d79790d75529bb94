/**
 * Hints: where a node finds its next address, for a store that can keep them cheaply. **They decide nothing**: what a hint names is read and
 * checked before it is used, and a store that keeps none answers with nothing.
 */
import type { Family } from "../net/address.ts";

/** Where a node looks for room in a pool. */
export interface Room {
  /** The block in use, by CIDR. */
  readonly current: string | undefined;
  /** How many of the pool's blocks, from the node's start, need not be looked at for a claim. */
  readonly probed: bigint;
}

export type RoomHint =
  | { readonly op: "look" }
  /** This block has no room: if it is the one in use, the next takes its place. */
  | { readonly op: "full"; readonly cidr: string }
  /** These blocks have room again. */
  | { readonly op: "open"; readonly cidrs: readonly string[] }
  /** The blocks before `probed` have been looked at, and `current` was claimed. */
  | { readonly op: "claimed"; readonly probed: bigint; readonly current: string | undefined };

/** The pool that gave last. */
export interface LastPool {
  /** Its name. */
  readonly pool: string;
  /** Which pools had been asked for. */
  readonly wanted: string;
}

export type HintRequest =
  | { readonly op: "room"; readonly node: string; readonly pool: string; readonly hint: RoomHint }
  /** Of a pool that is gone, by its CIDR. */
  | { readonly op: "forget room"; readonly pool: string }
  /** With `note`: from now on that one. */
  | { readonly op: "last pool"; readonly node: string; readonly family: Family; readonly note?: LastPool };

export type HintReply = { readonly room: Room } | { readonly lastPool: LastPool } | { readonly nothing: true };

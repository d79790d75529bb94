/**
 * Cursors: where in a pool a node finds its next address, so that no full block is read to find out.
 *
 *     cursor   current: 10.0.0.64/26    first 3 ─┐   last 5 ─┐    probed 12
 *     open               …-3: 10.0.1.0/26  …-4: 10.0.0.0/26  …-5: 10.0.2.0/26
 *
 * `current` is the block in use; the open blocks are a queue of those that were full and have room again, one small object each;
 * `probed` counts the pool's blocks, from the node's start, that need not be looked at for a claim.
 *
 * **A cursor is a hint and decides nothing.** What it names is read and judged before it is used, so a wrong one costs time, never an
 * address given twice. What it forgets (a process was killed, a file was lost) is found by a look at all blocks, which happens before
 * anybody is told that there is no address left (`findAnywhere`).
 */
import { parsePrefix } from "../../net/prefix.ts";
import type { StoredObject } from "../../store/object.ts";
import { create, read, remove, type Transaction, update } from "../../store/transaction.ts";
import { affinityName } from "../model/object-name.ts";

export interface CursorSpec {
  readonly node: string;
  /** The pool's CIDR. */
  readonly pool: string;
  readonly current?: string | undefined;
  /** The queue holds the open blocks `first` to `last`; it is empty when `last` is less. */
  readonly first: number;
  readonly last: number;
  readonly probed: bigint | number;
}

export type Cursor = StoredObject<CursorSpec>;

/** A queue that tells of more blocks is damaged, and to look for each would take for ever. */
const maxQueueLength = 100_000;

/** The stored cursor, or a new one that is not stored yet. */
export function* readCursor(node: string, pool: string): Transaction<Cursor> {
  const stored = (yield* read("IPAMCursor", affinityName(node, pool))) as Cursor | undefined;
  if (stored === undefined) return newCursor(node, pool);
  // One that makes no sense is as good as none.
  return isSound(stored.spec) ? stored : { ...stored, spec: newCursor(node, pool).spec };
}

function isSound({ current, first, last, probed }: CursorSpec): boolean {
  if (current !== undefined && (typeof current !== "string" || parsePrefix(current) === undefined)) return false;
  if (!Number.isSafeInteger(first) || !Number.isSafeInteger(last) || last - first > maxQueueLength) return false;
  return (typeof probed === "bigint" || Number.isSafeInteger(probed)) && probed >= 0;
}

/** Turns to the next open block, or to none. */
export function* nextOpen(cursor: Cursor): Transaction<Cursor> {
  const { first, last } = cursor.spec;
  for (let n = first; n <= last; n++) {
    const open = yield* read("IPAMOpenBlock", openName(cursor, n));
    if (open === undefined) continue;
    yield* remove(open);
    return moved(cursor, { current: (open.spec as { readonly cidr: string }).cidr, first: n + 1 });
  }
  return moved(cursor, { current: undefined, first: last + 1 });
}

/** Puts a block that has room again at the end of the queue; does nothing for the block in use. */
export function* pushOpen(cursor: Cursor, cidr: string): Transaction<Cursor> {
  if (cursor.spec.current === cidr) return cursor;
  if (cursor.spec.current === undefined) return moved(cursor, { current: cidr });
  // An entry beyond the last is one whose writer was killed before it wrote the cursor: it is taken in.
  for (let n = cursor.spec.last + 1; ; n++) {
    if ((yield* create(openBlock(cursor, n, cidr))) !== undefined) return moved(cursor, { last: n });
  }
}

export function moved(cursor: Cursor, change: Partial<CursorSpec>): Cursor {
  return { ...cursor, spec: { ...cursor.spec, ...change } };
}

/** Writes a cursor if it moved. That another process was faster does no harm. */
export function* saveCursor(before: Cursor, after: Cursor): Transaction<void> {
  if (before.spec === after.spec) return;
  if (after.metadata.resourceVersion === undefined) yield* create(after);
  else yield* update(after);
}

function newCursor(node: string, pool: string): Cursor {
  return {
    apiVersion: "tortie/v1",
    kind: "IPAMCursor",
    metadata: { name: affinityName(node, pool) },
    spec: { node, pool, first: 0, last: -1, probed: 0 },
  };
}

function openBlock(cursor: Cursor, n: number, cidr: string): StoredObject {
  return { apiVersion: "tortie/v1", kind: "IPAMOpenBlock", metadata: { name: openName(cursor, n) }, spec: { cidr } };
}

function openName({ metadata }: Cursor, n: number): string {
  return `${metadata.name}-${n}`;
}

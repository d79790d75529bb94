/**
 * Cursors: where in a pool a node finds its next address, without reading any full block.
 *
 *     cursor   current: 10.0.0.64/26    first 3 ─┐   last 5 ─┐    probed 12
 *     open               …-3: 10.0.1.0/26  …-4: 10.0.0.0/26  …-5: 10.0.2.0/26
 *
 * `current` is the block in use. The open blocks form a queue of blocks that were full and have room again, one small object each. `probed`
 * counts the pool's blocks, from the node's start, that a claim can skip. A cursor of its own, `<node>-last-ipv4`, names the pool of the last
 * assignment.
 *
 * **A cursor is only a hint.** Whatever it names is read and checked before use, so a wrong cursor costs time but never assigns an address twice.
 * A block that it misses (a process was killed, a file was lost) is found by the scan of all blocks that precedes every "no address left"
 * (`findAnywhere`). An unreadable cursor is set aside and replaced by a new one.
 */
import type { Family } from "../../net/address.ts";
import { parsePrefix } from "../../net/prefix.ts";
import { DamagedError } from "../damage.ts";
import type { HintReply, HintRequest, LastPool, Room, RoomHint } from "../hint.ts";
import { affinityName } from "../object-name.ts";
import type { FileObject, Objects } from "./objects.ts";
import type { FileKind } from "./places.ts";

interface CursorSpec {
  readonly node: string;
  /** The pool's CIDR. */
  readonly pool: string;
  readonly current?: string | undefined;
  /** The queue consists of the open blocks `first` to `last`; it is empty if `last` is less. */
  readonly first: number;
  readonly last: number;
  readonly probed: bigint | number;
}

type Cursor = FileObject<CursorSpec>;

interface LastPoolSpec extends LastPool {
  readonly node: string;
}

/** A longer queue is damaged; looking up each of its blocks would take too long. */
const maxQueueLength = 100_000;

export function answerHint(objects: Objects, request: HintRequest): HintReply {
  if (request.op === "forget room") {
    forgetCursors(objects, request.pool);
    return { nothing: true };
  }
  if (request.op === "last pool") return lastPool(objects, request.node, request.family, request.note);
  const cursor = readCursor(objects, request.node, request.pool);
  const next = move(objects, cursor, request.hint);
  saveCursor(objects, cursor, next);
  return { room: roomOf(next) };
}

function roomOf({ spec: { current, probed } }: Cursor): Room {
  return { current, probed: BigInt(probed) };
}

function move(objects: Objects, cursor: Cursor, hint: RoomHint): Cursor {
  const { current, probed } = cursor.spec;
  switch (hint.op) {
    case "look":
      return cursor;
    case "full":
      return current === hint.cidr ? nextOpen(objects, cursor) : cursor;
    case "open":
      return hint.cidrs.reduce((moving, cidr) => pushOpen(objects, moving, cidr), cursor);
    case "claimed": {
      const claimed = hint.current ?? current;
      return BigInt(probed) === hint.probed && claimed === current
        ? cursor
        : moved(cursor, { probed: hint.probed, current: claimed });
    }
  }
}

/** The stored cursor, or a new one that is not stored yet. */
function readCursor(objects: Objects, node: string, pool: string): Cursor {
  const stored = readHint(objects, "IPAMCursor", affinityName(node, pool)) as Cursor | undefined;
  if (stored === undefined) return newCursor(node, pool);
  // An invalid cursor is treated as a missing one.
  return isSound(stored.spec) ? stored : { ...stored, spec: newCursor(node, pool).spec };
}

function readHint(objects: Objects, kind: FileKind, name: string): FileObject | undefined {
  try {
    return objects.read(kind, name);
  } catch (error) {
    if (!(error instanceof DamagedError)) throw error;
    objects.setAside(kind, name);
    return undefined;
  }
}

function isSound({ current, first, last, probed }: CursorSpec): boolean {
  if (current !== undefined && (typeof current !== "string" || parsePrefix(current) === undefined)) return false;
  if (!Number.isSafeInteger(first) || !Number.isSafeInteger(last) || last - first > maxQueueLength) return false;
  return (typeof probed === "bigint" || Number.isSafeInteger(probed)) && probed >= 0;
}

/** Moves on to the next open block, if any. */
function nextOpen(objects: Objects, cursor: Cursor): Cursor {
  const { first, last } = cursor.spec;
  for (let n = first; n <= last; n++) {
    const open = readHint(objects, "IPAMOpenBlock", openName(cursor, n));
    if (open === undefined) continue;
    objects.remove(open);
    return moved(cursor, { current: (open.spec as { readonly cidr: string }).cidr, first: n + 1 });
  }
  return moved(cursor, { current: undefined, first: last + 1 });
}

/** Appends a block that has room again to the queue; does nothing for the block in use. */
function pushOpen(objects: Objects, cursor: Cursor, cidr: string): Cursor {
  if (cursor.spec.current === cidr) return cursor;
  if (cursor.spec.current === undefined) return moved(cursor, { current: cidr });
  // An entry beyond the last was written by a process that was killed before it wrote the cursor: include it.
  for (let n = cursor.spec.last + 1; ; n++) {
    if (objects.create(openBlock(cursor, n, cidr)) !== undefined) return moved(cursor, { last: n });
  }
}

function moved(cursor: Cursor, change: Partial<CursorSpec>): Cursor {
  return { ...cursor, spec: { ...cursor.spec, ...change } };
}

/** Writes a cursor if it has changed. */
function saveCursor(objects: Objects, before: Cursor, after: Cursor): void {
  if (before.spec === after.spec) return;
  if (after.metadata.resourceVersion === undefined) objects.create(after);
  else objects.update(after);
}

function newCursor(node: string, pool: string): Cursor {
  return {
    apiVersion: "tortie/v1",
    kind: "IPAMCursor",
    metadata: { name: affinityName(node, pool) },
    spec: { node, pool, first: 0, last: -1, probed: 0 },
  };
}

function openBlock(cursor: Cursor, n: number, cidr: string): FileObject {
  return { apiVersion: "tortie/v1", kind: "IPAMOpenBlock", metadata: { name: openName(cursor, n) }, spec: { cidr } };
}

function openName({ metadata }: Cursor, n: number): string {
  return `${metadata.name}-${n}`;
}

/** Removes hints about a deleted block. */
function forgetCursors(objects: Objects, cidr: string): void {
  for (const cursor of objects.list("IPAMCursor")) {
    const { node, pool } = cursor.spec as CursorSpec;
    if (pool !== cidr) continue;
    const prefix = `${affinityName(node, pool)}-`;
    for (const open of objects.list("IPAMOpenBlock")) if (open.metadata.name.startsWith(prefix)) objects.remove(open);
    objects.remove(cursor);
  }
}

function lastPool(objects: Objects, node: string, family: Family, note: LastPool | undefined): HintReply {
  const name = affinityName(node, `last-ipv${family}`);
  const stored = readHint(objects, "IPAMCursor", name) as FileObject<LastPoolSpec> | undefined;
  if (note !== undefined) {
    const spec: LastPoolSpec = { node, ...note };
    if (stored !== undefined) objects.update({ ...stored, spec });
    else objects.create({ apiVersion: "tortie/v1", kind: "IPAMCursor", metadata: { name }, spec });
    return { nothing: true };
  }
  return stored === undefined
    ? { nothing: true }
    : { lastPool: { pool: stored.spec.pool, wanted: stored.spec.wanted } };
}

/**
 * Transactions: algorithms that `yield` what they ask of a store, and get the answer back.
 *
 *     function* f(…): Transaction<T> { const block = yield* read({ kind: "IPAMBlock", cidr }); … }
 *
 * So the algorithm is written once and knows no store: `drive` runs it over files at once, `driveAsync` over a network.
 *
 * **A transaction may end at any `yield` and for good (the process is killed)**: what it has written until then must be something that the
 * next one can finish or undo. **A request that fails may have been done all the same** (its answer was lost). **Its body has no effect but by
 * its requests**, for a store may run it again from the start.
 */
import type { Filter } from "./filter.ts";
import type { HintReply, HintRequest, Room, RoomHint } from "./hint.ts";
import { type Key, keyOf } from "./key.ts";
import type { Kind, StoredObject } from "./object.ts";
import type { ObjectRef } from "./store-error.ts";

export type StoreRequest =
  | { readonly op: "read"; readonly key: Key }
  /** Objects of a kind, in the order of their names. Its cost grows with their number: not for what happens once per pod. */
  | {
      readonly op: "list";
      readonly kind: Kind;
      readonly filter: Filter;
      /** Fails where an object of the kind cannot be used; it is left out otherwise, and the store tells whoever wants to know. */
      readonly isWhole: boolean;
    }
  /** There must be none. */
  | { readonly op: "create"; readonly key: Key; readonly object: StoredObject }
  /** The stored revision must be `object.metadata.resourceVersion`. */
  | { readonly op: "update"; readonly key: Key; readonly object: StoredObject }
  /** Likewise. */
  | { readonly op: "delete"; readonly key: Key; readonly object: StoredObject }
  /** Somebody else was faster for the `attempt`th time, counted from 0: the store waits as long as is good for all. */
  | { readonly op: "wait"; readonly attempt: number }
  | HintRequest
  | UpkeepRequest;

/** What a store of files needs; any other answers with nothing. */
export type UpkeepRequest =
  /**
   * What is stored there, readable or not, is kept elsewhere, and `replacement` takes its place, or nothing. With a replacement there is no
   * instant without an object.
   */
  | { readonly op: "set aside"; readonly object: ObjectRef; readonly replacement: StoredObject | undefined }
  /** What processes left that were killed in the middle of a write goes. */
  | { readonly op: "sweep" }
  /** Fails where objects of this kind cannot be made. */
  | { readonly op: "test"; readonly kind: Kind };

export type StoreReply =
  | { readonly objects: readonly StoredObject[] }
  /** Somebody else was faster: there is one already, the revision is another, or the object is gone. */
  | { readonly conflict: true }
  | HintReply;

export type Transaction<T> = Generator<StoreRequest, T, StoreReply>;

export interface Store {
  /** Throws `StoreError` that names the object when it cannot be read or written. */
  handle(request: StoreRequest): StoreReply;
}

export interface AsyncStore {
  /** Rejects likewise. */
  handle(request: StoreRequest): Promise<StoreReply>;
}

/** How often a transaction starts again after a conflict (Calico's `datastoreRetries`). */
export const maxTries = 100;

/** Runs a transaction to its end. A failed request is thrown into it, so that it may clean up. */
export function drive<T>(transaction: Transaction<T>, store: Store): T {
  let step = transaction.next();
  while (step.done !== true) {
    let reply: StoreReply;
    try {
      reply = store.handle(step.value);
    } catch (error) {
      step = transaction.throw(error);
      continue;
    }
    step = transaction.next(reply);
  }
  return step.value;
}

/** The same over a store that answers later. */
export async function driveAsync<T>(transaction: Transaction<T>, store: AsyncStore): Promise<T> {
  let step = transaction.next();
  while (step.done !== true) {
    let reply: StoreReply;
    try {
      reply = await store.handle(step.value);
    } catch (error) {
      step = transaction.throw(error);
      continue;
    }
    step = transaction.next(reply);
  }
  return step.value;
}

/** `undefined` when there is none. */
export function* read(key: Key): Transaction<StoredObject | undefined> {
  return objectIn(yield { op: "read", key });
}

export function* list(kind: Kind, filter: Filter = {}): Transaction<readonly StoredObject[]> {
  const reply = yield { op: "list", kind, filter, isWhole: false };
  return "objects" in reply ? reply.objects : [];
}

/** Throws `DamagedError` where one of them cannot be used. */
export function* listWhole(kind: Kind): Transaction<readonly StoredObject[]> {
  const reply = yield { op: "list", kind, filter: {}, isWhole: true };
  return "objects" in reply ? reply.objects : [];
}

/** The object as it is stored now; `undefined` when there is one already. */
export function* create(object: StoredObject): Transaction<StoredObject | undefined> {
  return objectIn(yield { op: "create", key: keyOf(object), object });
}

/** The object as it is stored now; `undefined` when it was changed or removed since it was read. */
export function* update(object: StoredObject): Transaction<StoredObject | undefined> {
  return objectIn(yield { op: "update", key: keyOf(object), object });
}

/** Whether this removed it; `false` when it was changed or removed since it was read. */
export function* remove(object: StoredObject): Transaction<boolean> {
  return "objects" in (yield { op: "delete", key: keyOf(object), object });
}

/** Before each try of a transaction, counted from 0: lets others go first who were faster in the one before. */
export function* pause(attempt: number): Transaction<void> {
  if (attempt > 0) yield { op: "wait", attempt: attempt - 1 };
}

function objectIn(reply: StoreReply): StoredObject | undefined {
  return "objects" in reply ? reply.objects[0] : undefined;
}

/** `undefined` where the store keeps no hints. */
export function* hintRoom(node: string, pool: string, hint: RoomHint): Transaction<Room | undefined> {
  const reply = yield { op: "room", node, pool, hint };
  return "room" in reply ? reply.room : undefined;
}

/** For objects that cannot be used: keeps what is stored elsewhere, and puts `replacement` in its place, or nothing. */
export function* moveDamagedAside(object: ObjectRef, replacement?: StoredObject): Transaction<void> {
  yield { op: "set aside", object, replacement };
}

/**
 * Transactions: algorithms that `yield` their requests to a store and receive the replies.
 *
 *     function* f(…): Transaction<T> { const block = yield* read({ kind: "IPAMBlock", cidr }); … }
 *
 * Each algorithm is written once, independent of the store: `drive` runs it synchronously over files, `driveAsync` over a network.
 *
 * **A transaction may stop at any `yield` for ever (the process is killed)**: the next transaction must be able to complete or undo what it has
 * written. **A failed request may have been executed** (its answer was lost). **The body has no effect except through its requests**, because
 * a store may run it again from the start.
 */
import type { Filter } from "./filter.ts";
import type { HintReply, HintRequest, Room, RoomHint } from "./hint.ts";
import { type Key, keyOf } from "./key.ts";
import type { Kind, StoredObject } from "./object.ts";
import type { ObjectRef } from "./store-error.ts";

export type StoreRequest =
  | { readonly op: "read"; readonly key: Key }
  /** Objects of a kind, in the order of their names. The cost grows with their number: not for the per-pod path. */
  | {
      readonly op: "list";
      readonly kind: Kind;
      readonly filter: Filter;
      /** Fails if an object of the kind is invalid; otherwise omits it, and the store calls `onDamaged`. */
      readonly isWhole: boolean;
    }
  /** The object must not exist. */
  | { readonly op: "create"; readonly key: Key; readonly object: StoredObject }
  /** The stored revision must be `object.metadata.resourceVersion`. */
  | { readonly op: "update"; readonly key: Key; readonly object: StoredObject }
  /** The same. */
  | { readonly op: "delete"; readonly key: Key; readonly object: StoredObject }
  /** The `attempt`th conflict, counted from 0: the store waits before the next attempt. */
  | { readonly op: "wait"; readonly attempt: number }
  | HintRequest
  | UpkeepRequest;

/** Requests for a store of files; any other store returns nothing. */
export type UpkeepRequest =
  /**
   * Moves the stored object, readable or not, aside, and puts `replacement` in its place, if there is one. With a replacement, the object exists
   * at every moment.
   */
  | { readonly op: "set aside"; readonly object: ObjectRef; readonly replacement: StoredObject | undefined }
  /** Removes unfinished files of killed processes. */
  | { readonly op: "sweep" }
  /** Fails if objects of this kind cannot be created. */
  | { readonly op: "test"; readonly kind: Kind };

export type StoreReply =
  | { readonly objects: readonly StoredObject[] }
  /** Conflict: the object exists already, has another revision, or is gone. */
  | { readonly conflict: true }
  | HintReply;

export type Transaction<T> = Generator<StoreRequest, T, StoreReply>;

export interface Store {
  /** Throws `StoreError`, which names the object, if it cannot be read or written. */
  handle(request: StoreRequest): StoreReply;
}

export interface AsyncStore {
  /** Rejects with the same errors. A store that has the answer in memory returns it at once, so that nothing else runs in between. */
  handle(request: StoreRequest): StoreReply | Promise<StoreReply>;
}

/** How often a transaction restarts after a conflict (Calico's `datastoreRetries`). */
export const maxTries = 100;

/** Runs a transaction to its end. Throws a failed request into it, so that it can clean up. */
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

/** The same over an asynchronous store. */
export async function driveAsync<T>(transaction: Transaction<T>, store: AsyncStore): Promise<T> {
  let step = transaction.next();
  while (step.done !== true) {
    let reply: StoreReply;
    try {
      const answer = store.handle(step.value);
      reply = answer instanceof Promise ? await answer : answer;
    } catch (error) {
      step = transaction.throw(error);
      continue;
    }
    step = transaction.next(reply);
  }
  return step.value;
}

/** `undefined` if there is none. */
export function* read(key: Key): Transaction<StoredObject | undefined> {
  return objectIn(yield { op: "read", key });
}

export function* list(kind: Kind, filter: Filter = {}): Transaction<readonly StoredObject[]> {
  const reply = yield { op: "list", kind, filter, isWhole: false };
  return "objects" in reply ? reply.objects : [];
}

/** Throws `DamagedError` if one of them is invalid. */
export function* listWhole(kind: Kind): Transaction<readonly StoredObject[]> {
  const reply = yield { op: "list", kind, filter: {}, isWhole: true };
  return "objects" in reply ? reply.objects : [];
}

/** The object as stored; `undefined` if it exists already. */
export function* create(object: StoredObject): Transaction<StoredObject | undefined> {
  return objectIn(yield { op: "create", key: keyOf(object), object });
}

/** The object as stored; `undefined` if it was changed or removed since it was read. */
export function* update(object: StoredObject): Transaction<StoredObject | undefined> {
  return objectIn(yield { op: "update", key: keyOf(object), object });
}

/** Whether this call removed it; `false` if it was changed or removed since it was read. */
export function* remove(object: StoredObject): Transaction<boolean> {
  return "objects" in (yield { op: "delete", key: keyOf(object), object });
}

/** Called before each attempt of a transaction, counted from 0: waits after a conflict. */
export function* pause(attempt: number): Transaction<void> {
  if (attempt > 0) yield { op: "wait", attempt: attempt - 1 };
}

function objectIn(reply: StoreReply): StoredObject | undefined {
  return "objects" in reply ? reply.objects[0] : undefined;
}

/** `undefined` if the store keeps no hints. */
export function* hintRoom(node: string, pool: string, hint: RoomHint): Transaction<Room | undefined> {
  const reply = yield { op: "room", node, pool, hint };
  return "room" in reply ? reply.room : undefined;
}

/** For invalid objects: moves the stored object aside, and puts `replacement` in its place, if there is one. */
export function* moveDamagedAside(object: ObjectRef, replacement?: StoredObject): Transaction<void> {
  yield { op: "set aside", object, replacement };
}

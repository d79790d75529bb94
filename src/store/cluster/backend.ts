/**
 * What a driver of a cluster's datastore does: one request for one object, listings, and changes. What both drivers need beside, repetitions and
 * waits and objects that cannot be used, is made of it in this directory.
 */
import type { Filter } from "../filter.ts";
import type { Key } from "../key.ts";
import type { Kind, StoredObject } from "../object.ts";
import { type ObjectRef, StoreError } from "../store-error.ts";

/** Each rejects with `Unanswered` where the request may be made again, and with `StoreError` where that makes no sense. */
export interface Backend {
  /** `undefined` when there is none. Rejects with `DamagedError` when it cannot be used. */
  read(key: Key): Promise<StoredObject | undefined>;
  /** A filter may be used, and need not be. */
  list(kind: Kind, filter: Filter): Promise<Listing>;
  /** The object as it is stored now; `undefined` when there is one already. */
  create(key: Key, object: StoredObject): Promise<StoredObject | undefined>;
  /** The object as it is stored now; `undefined` when it was changed or removed since it was read. */
  update(key: Key, object: StoredObject): Promise<StoredObject | undefined>;
  /** Whether this removed it; `false` when it was changed or removed since it was read. */
  remove(key: Key, object: StoredObject): Promise<boolean>;
  /** What happened to objects of a kind after a revision, until aborted. Throws `Compacted` where the store has forgotten. */
  changes(kind: Kind, filter: Filter, after: string, signal: AbortSignal): AsyncIterable<Change>;
  close(): void;
}

export interface Listing {
  readonly objects: readonly StoredObject[];
  /** Those that cannot be used. */
  readonly damaged: readonly StoreError[];
  /** Of the whole store, for `changes`. */
  readonly revision: string;
}

/** With the revision that `changes` may be asked to go on from. */
export type Change =
  | { readonly type: "set"; readonly object: StoredObject; readonly revision: string }
  | { readonly type: "gone"; readonly key: Key; readonly revision: string }
  | { readonly type: "damaged"; readonly key: Key; readonly error: StoreError; readonly revision: string }
  /** Nothing happened until then. */
  | { readonly type: "bookmark"; readonly revision: string };

/** What a request is about, for its error. */
export interface About {
  readonly action: string;
  readonly object: ObjectRef;
}

/** No answer, or one that says "not now". **A write may have been done all the same.** */
export class Unanswered extends StoreError {
  override readonly name = "Unanswered";
  override readonly kind = "timeout";

  constructor(action: string, object: ObjectRef, reason: string, cause?: unknown) {
    super({ action, object, reason, cause });
  }
}

/** The store no longer has the requested changes (etcd: compacted); the caller must list again. */
export class Compacted extends StoreError {
  override readonly name = "Compacted";

  constructor(kind: Kind, reason: string) {
    super({ action: "watch", object: { kind, name: "" }, reason });
  }
}

/**
 * The interface of a cluster datastore's driver: one request for one object, listings, and watches. Code that both drivers need (retries,
 * waits, damaged objects) is in this directory.
 */
import type { AsyncDatastore, Lease } from "../async-datastore.ts";
import type { Filter } from "../filter.ts";
import type { Key } from "../key.ts";
import type { Kind, StoredObject } from "../object.ts";
import { type ObjectRef, StoreError } from "../store-error.ts";

/** Each method rejects with `Unanswered` if the caller may retry the request, and with `StoreError` if not. */
export interface Backend {
  /** `undefined` if there is none. Rejects with `DamagedError` if the object is invalid. */
  read(key: Key): Promise<StoredObject | undefined>;
  /** All objects of a kind at one revision, page by page. The driver may ignore the filter. */
  pages(kind: Kind, filter: Filter): AsyncIterable<Listing>;
  lease(name: string): Lease;
  setNodeCondition?: AsyncDatastore["setNodeCondition"];
  issueKubeconfig?: AsyncDatastore["issueKubeconfig"];
  /** The object as stored; `undefined` if it exists already. */
  create(key: Key, object: StoredObject): Promise<StoredObject | undefined>;
  /** The object as stored; `undefined` if it was changed or removed since it was read. */
  update(key: Key, object: StoredObject): Promise<StoredObject | undefined>;
  /** As `AsyncDatastore` has it. */
  writeTogether?: AsyncDatastore["writeTogether"];
  /** Whether this call removed it; `false` if it was changed or removed since it was read. */
  remove(key: Key, object: StoredObject): Promise<boolean>;
  /** The changes to objects of a kind after a revision, until aborted. Throws `Compacted` if the store no longer has them. */
  changes(kind: Kind, filter: Filter, after: string, signal: AbortSignal): AsyncIterable<Change>;
  close(): void;
}

export interface Listing {
  readonly objects: readonly StoredObject[];
  /** Objects that are invalid. */
  readonly damaged: readonly StoreError[];
  /** The revision of the whole store, for `changes`. */
  readonly revision: string;
}

/** All pages in one. */
export async function listAll(backend: Pick<Backend, "pages">, kind: Kind, filter: Filter): Promise<Listing> {
  const objects: StoredObject[] = [];
  const damaged: StoreError[] = [];
  let revision = "";
  for await (const page of backend.pages(kind, filter)) {
    objects.push(...page.objects);
    damaged.push(...page.damaged);
    revision = page.revision;
  }
  return { objects, damaged, revision };
}

/** With the revision from which `changes` can continue. */
export type Change =
  | { readonly type: "set"; readonly object: StoredObject; readonly revision: string }
  | { readonly type: "gone"; readonly key: Key; readonly revision: string }
  | { readonly type: "damaged"; readonly key: Key; readonly error: StoreError; readonly revision: string }
  /** No changes up to this revision. */
  | { readonly type: "bookmark"; readonly revision: string };

/** The subject of a request, for its error. */
export interface About {
  readonly action: string;
  readonly object: ObjectRef;
}

/** No answer, or a temporary refusal. **A write may have been executed nevertheless.** */
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

/**
 * Transactions: algorithms that `yield` what they ask of a store, and get the answer back.
 *
 *     function* f(…): Transaction<T> { const block = yield* read("IPAMBlock", name); … }
 *
 * So the algorithm is written once and knows no store: `drive` runs it over files at once, and another driver may run it over a network.
 * **A transaction may end at any `yield` and for good (the process is killed)**: what it has written until then must be something that the
 * next one can finish or undo.
 */
import type { Kind, StoredObject } from "./object.ts";

export type StoreRequest =
  | { readonly op: "read"; readonly kind: Kind; readonly name: string }
  /** All objects of a kind, by name. Its cost grows with their number: not for what happens once per pod. */
  | { readonly op: "list"; readonly kind: Kind }
  /** The name must be free. */
  | { readonly op: "create"; readonly object: StoredObject }
  /** The stored revision must be `object.metadata.resourceVersion`. */
  | { readonly op: "update"; readonly object: StoredObject }
  /** Likewise. */
  | { readonly op: "delete"; readonly object: StoredObject }
  /**
   * What is stored under the name, readable or not, is kept elsewhere, and `replacement` takes its place, or nothing. With a replacement
   * the name is free at no instant.
   */
  | {
      readonly op: "set aside";
      readonly kind: Kind;
      readonly name: string;
      readonly replacement: StoredObject | undefined;
    };

export type StoreReply =
  | { readonly objects: readonly StoredObject[] }
  /** Somebody else was faster: the name is taken, the revision is another, or the object is gone. */
  | { readonly conflict: true };

export type Transaction<T> = Generator<StoreRequest, T, StoreReply>;

export interface Store {
  /** Throws `StoreError` that names the object when it cannot be read or written. */
  handle(request: StoreRequest): StoreReply;
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

/** `undefined` when there is none. */
export function* read(kind: Kind, name: string): Transaction<StoredObject | undefined> {
  const reply = yield { op: "read", kind, name };
  return "objects" in reply ? reply.objects[0] : undefined;
}

export function* list(kind: Kind): Transaction<readonly StoredObject[]> {
  const reply = yield { op: "list", kind };
  return "objects" in reply ? reply.objects : [];
}

/** The object as it is stored now; `undefined` when the name is taken. */
export function* create(object: StoredObject): Transaction<StoredObject | undefined> {
  const reply = yield { op: "create", object };
  return "objects" in reply ? reply.objects[0] : undefined;
}

/** The object as it is stored now; `undefined` when it was changed or removed since it was read. */
export function* update(object: StoredObject): Transaction<StoredObject | undefined> {
  const reply = yield { op: "update", object };
  return "objects" in reply ? reply.objects[0] : undefined;
}

/** Whether this removed it; `false` when it was changed or removed since it was read. */
export function* remove(object: StoredObject): Transaction<boolean> {
  const reply = yield { op: "delete", object };
  return "objects" in reply;
}

/** For objects that cannot be used: keeps what is stored under the name elsewhere, and puts `replacement` in its place, or nothing. */
export function* setAside(kind: Kind, name: string, replacement?: StoredObject): Transaction<void> {
  yield { op: "set aside", kind, name, replacement };
}

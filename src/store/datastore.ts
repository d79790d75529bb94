/**
 * The port: where addresses and settings are kept, by Calico's `datastore_type` (`open.ts`).
 *
 *     src/ipam  ── Transaction ──►  Datastore       ──►  file    one JSON file per object, one lock
 *                  keys, filters
 *                  hints            AsyncDatastore  ──►  etcd, Kubernetes    (`async-datastore.ts`: on Node alone)
 *
 * **Each store hides its internals**: locks, damaged files and their repair, caches, waits after conflicts. Above the port there are only
 * requests (`transaction.ts`). A store returns `undefined` for a kind of request that it does not need, such as a hint.
 */
import type { DamagedError } from "./damage.ts";
import type { StoreError } from "./store-error.ts";
import type { Store, Transaction } from "./transaction.ts";

export interface Datastore {
  /** Whether only this node writes to it. Addresses of another node name are then from a time when this node had that name. */
  readonly isNodesOwn: boolean;
  /** For reading. */
  readonly store: Store;
  /** Runs `body` with a writable store: exclusively if the store has a lock; otherwise a conflict restarts the transaction. */
  exclusively<T>(body: (store: Store) => T): T;
  /** Runs a transaction that writes, and restarts it after repairing a damaged object that it met. */
  transact<T>(transaction: () => Transaction<T>): T;
}

export interface DatastoreOptions {
  /** `ipam_lock_file`: a second lock, shared with other programs. */
  readonly lockFile?: string | undefined;
  readonly lockTimeoutMs?: number;
  /** Told of objects that a listing left out. */
  readonly onDamaged?: (error: StoreError) => void;
  /** Whether the damaged object is as it should be now. */
  readonly repair?: (error: DamagedError) => Transaction<boolean>;
}

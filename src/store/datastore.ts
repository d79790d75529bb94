/**
 * The port: where addresses and settings are stored, selected by Calico's `datastore_type` (`open.ts`).
 *
 *     src/ipam  ── Transaction ──►  Datastore       ──►  file    one JSON file per object, one lock
 *                  keys, filters
 *     hints            AsyncDatastore  ──►  etcd, Kubernetes    (`async-datastore.ts`: only on Node)
 *
 * **Each store hides its internals**: locks, damaged files and their repair, caches, waits after conflicts. Code above the port only sends
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
  /** Called for each object that a listing omits. */
  readonly onDamaged?: (error: StoreError) => void;
  /** Repairs a damaged object. Returns whether it is valid now. */
  readonly repair?: (error: DamagedError) => Transaction<boolean>;
}

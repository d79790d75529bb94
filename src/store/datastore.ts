/**
 * The port: where addresses and settings are kept, by Calico's `datastore_type` (`open.ts`).
 *
 *     src/ipam  ── Transaction ──►  Datastore       ──►  file    one JSON file per object, one lock
 *                  keys, filters
 *                  hints            AsyncDatastore  ──►  etcd, Kubernetes    (`async-datastore.ts`: on Node alone)
 *
 * **What a store needs for itself stays in it**: locks, damaged files and their repair, caches, how long to wait after a conflict. Above it
 * there are requests alone (`transaction.ts`), and what a store has no use for it answers with nothing.
 */
import type { DamagedError } from "./damage.ts";
import type { StoreError } from "./store-error.ts";
import type { Store, Transaction } from "./transaction.ts";

export interface Datastore {
  /** Whether nobody but this node writes to it: then what is held under another name, this node held when it had that name. */
  readonly isNodesOwn: boolean;
  /** For what only reads. */
  readonly store: Store;
  /** Runs `body` with a store to write to: alone where the store can see to it, else whoever is overtaken begins again. */
  exclusively<T>(body: (store: Store) => T): T;
  /** Runs a transaction that writes, again from its start when it met damage that could be repaired. */
  transact<T>(transaction: () => Transaction<T>): T;
}

export interface DatastoreOptions {
  /** `ipam_lock_file`: taken as well, to keep out whoever else uses it. */
  readonly lockFile?: string | undefined;
  readonly lockTimeoutMs?: number;
  /** Told of objects that a listing left out. */
  readonly onDamaged?: (error: StoreError) => void;
  /** Whether the damaged object is as it should be now. */
  readonly repair?: (error: DamagedError) => Transaction<boolean>;
}

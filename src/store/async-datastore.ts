/**
 * The port's face for what runs on Node: the same transactions, over a datastore that answers later.
 *
 *     src/ipam  ── Transaction ──►  AsyncDatastore  ──►  etcd         one key per object            (src/store/etcd)
 *                                                        kubernetes   one custom resource per object (src/store/kubernetes)
 *
 * **All nodes write to it**: a node must not release what another node holds, and a conflict restarts the transaction.
 */
import type { DamagedError } from "./damage.ts";
import type { Filter } from "./filter.ts";
import type { Key } from "./key.ts";
import type { Kind, StoredObject } from "./object.ts";
import type { StoreError } from "./store-error.ts";
import type { AsyncStore, Transaction } from "./transaction.ts";

export interface AsyncDatastore {
  /** Always `false`, as `Datastore` has it. */
  readonly isNodesOwn: boolean;
  /** For reading. */
  readonly store: AsyncStore;
  /** Runs a transaction that writes, and restarts it after repairing a damaged object that it met. */
  transact<T>(transaction: () => Transaction<T>): Promise<T>;
  /**
   * Tells of all objects of a kind that a filter lets pass, and then of every change, until it is closed: connections are made again, and
   * nothing is missed.
   */
  follow(kind: Kind, watcher: Watcher, filter?: Filter): Following;
  /** Ends what is followed, and the connections. */
  close(): void;
}

export interface Watcher {
  /** Everything there is: at first, and again whenever what happened in between cannot be told. */
  all(objects: readonly StoredObject[]): void;
  /** An object that is new, or another than before. */
  set(object: StoredObject): void;
  /** It was removed, or the filter does not let it pass any more; perhaps it never did. */
  gone(key: Key): void;
  /** The connection failed, and is made again; or an object cannot be used, and counts as gone. */
  trouble(error: StoreError): void;
}

export interface Following {
  close(): void;
}

export interface AsyncDatastoreOptions {
  /** How long one try of a request may take, but for pages of listings, which have 10 s; 2,000 ms. */
  readonly timeoutMs?: number;
  /** How long a request that was not answered is made again; the last try may end `timeoutMs` later. 2,500 ms: the sum is below 5 s. */
  readonly deadlineMs?: number;
  /** Told of objects that a listing left out. */
  readonly onDamaged?: (error: StoreError) => void;
  /** Whether the damaged object is as it should be now. */
  readonly repair?: (error: DamagedError) => Transaction<boolean>;
}

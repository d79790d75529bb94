/**
 * The port for programs on Node: the same transactions, over a datastore that answers asynchronously.
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
   * Creates objects and updates another one, all or nothing, in one request; `undefined` after a conflict. Absent if the datastore has no such
   * request. Rejects with `StoreError`.
   */
  readonly writeTogether?: WriteTogether;
  /**
   * Reports all objects of a kind that match a filter, and then every change, until it is closed. Reconnects as needed, and misses nothing.
   */
  follow(kind: Kind, watcher: Watcher, filter?: Filter): Following;
  /** Shows all objects of a kind at one revision, without holding all of them. Rejects with `StoreError`; the visitor has then seen some. */
  visit(kind: Kind, visitor: (object: StoredObject) => void): Promise<void>;
  /** The cluster's lease of this name, which one process at a time holds. */
  lease(name: string): Lease;
  /** Only Kubernetes has conditions of nodes. Rejects with `StoreError`. */
  setNodeCondition?(node: string, condition: NodeCondition): Promise<void>;
  /** A kubeconfig for a service account, with a token for that time. Only Kubernetes has them. Rejects with `StoreError`. */
  issueKubeconfig?(account: ServiceAccount, seconds: number): Promise<IssuedKubeconfig>;
  /** Ends all watches and connections. */
  close(): void;
}

export type WriteTogether = (
  created: readonly StoredObject[],
  updated: StoredObject,
) => Promise<WrittenTogether | undefined>;

/** As stored. */
export interface WrittenTogether {
  readonly created: readonly StoredObject[];
  readonly updated: StoredObject;
}

export interface NodeCondition {
  readonly type: string;
  readonly status: "True" | "False";
  readonly reason: string;
  readonly message: string;
}

export interface ServiceAccount {
  readonly namespace: string;
  readonly name: string;
}

export interface IssuedKubeconfig {
  /** Secret: it has the token. */
  readonly text: string;
  /** By the wall clock. */
  readonly expiresMs: number;
}

/** **Saves work, and protects nothing**: a process that was frozen may act after its lease has expired. */
export interface Lease {
  /** Takes or renews it; resolves with whether the holder has it for the next `seconds`. Rejects with `StoreError`. */
  hold(holder: string, seconds: number): Promise<boolean>;
}

export interface Watcher {
  /** All objects: at the start, and again whenever the changes in between are unknown. */
  all(objects: readonly StoredObject[]): void;
  /** An object was created or changed. */
  set(object: StoredObject): void;
  /** It was removed, or no longer matches the filter; it may never have matched. */
  gone(key: Key): void;
  /** The connection failed and is being reopened, or an object is invalid and counts as removed. */
  trouble(error: StoreError): void;
}

export interface Following {
  close(): void;
}

export interface AsyncDatastoreOptions {
  /** Time limit of one attempt, except for pages of listings, which have 10 s; 2,000 ms. */
  readonly timeoutMs?: number;
  /** How long an unanswered request is retried; the last attempt may end `timeoutMs` later. 2,500 ms: the sum is below 5 s. */
  readonly deadlineMs?: number;
  /** Called for each object that a listing omits. */
  readonly onDamaged?: (error: StoreError) => void;
  /** Repairs a damaged object. Returns whether it is valid now. */
  readonly repair?: (error: DamagedError) => Transaction<boolean>;
}

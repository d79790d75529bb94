/** The IPAM operations that plugins request: the transactions of `src/ipam` over the cluster's datastore. */
import type { Attachment } from "../../identity/attachment.ts";
import { hasFreeAddress } from "../../ipam/assign/free.ts";
import { selectPools, type Wanted } from "../../ipam/assign/pool-selection.ts";
import { attributesOf } from "../../ipam/model/attributes.ts";
import { handleIdOf } from "../../ipam/model/handle.ts";
import { type Assigned, addressesOf, readHandleContents } from "../../ipam/model/handle-contents.ts";
import { readScope } from "../../ipam/model/labels.ts";
import { listPools, type Pool } from "../../ipam/model/pool.ts";
import { NoAddressError } from "../../ipam/no-address.ts";
import { type Collected, collect } from "../../ipam/release/gc.ts";
import { legacyHandles, releaseLegacy } from "../../ipam/release/legacy.ts";
import { reclaimBlocks } from "../../ipam/release/reclaim.ts";
import { releaseByHandle } from "../../ipam/release/release.ts";
import type { AsyncDatastore } from "../../store/async-datastore.ts";
import { type AsyncStore, driveAsync, type Transaction } from "../../store/transaction.ts";
import { withDeadline } from "../deadline.ts";
import type { Workload } from "../workload.ts";
import { Assigner, type Assignment, type AssignOrder } from "./assigner.ts";
import { KeyedQueue } from "./keyed-queue.ts";
import type { Take } from "./taking-store.ts";

export interface CollectOrder {
  readonly node: string;
  readonly network: string;
  readonly valid: readonly Omit<Attachment, "network">[];
}

export interface Clock {
  readonly seconds: number;
  readonly nanoseconds: number;
}

/** A store that may have this node's blocks in memory (`NodeStore`). */
export interface WritingStore extends AsyncStore {
  /** Whether a block of this node, or another one that this agent wrote, may have an address of the handle. */
  mayHold?(handleId: string): boolean;
  readonly take?: Take | undefined;
}

/** Each method rejects with a `CoreError`, after `ms` with `OutOfTime`. */
export class Addresses {
  readonly #datastore: AsyncDatastore;
  readonly #transactions: WritingStore;
  readonly #clock: () => Clock;
  readonly #queue = new KeyedQueue();
  readonly #assigner: Assigner;

  /** `transactions`: the datastore for operations that write (`NodeStore`). */
  constructor(datastore: AsyncDatastore, clock: () => Clock, transactions: WritingStore = datastore.store) {
    this.#datastore = datastore;
    this.#transactions = transactions;
    this.#assigner = new Assigner(this.#queue, transactions.take);
    this.#clock = clock;
  }

  /**
   * Returns the addresses that the attachment holds already, or assigns new ones: all or none. Creates no pool. `mayBeUnwritten`: the caller waits for
   * `written` by itself.
   */
  assign(order: AssignOrder, ms: number, mayBeUnwritten = false): Promise<Assignment> {
    const { node, attachment, pod } = order;
    const clock = this.#clock();
    const attributes = attributesOf({ node, ifname: attachment.ifname, pod }, clock);
    const own = { handleId: handleIdOf(attachment), node, attributes, now: nanoseconds(clock) };
    const mayBeNew = mayBeUnwritten && this.#transactions.mayHold?.(own.handleId) === false;
    return this.#assigner.assign(order, own, withDeadline(this.#transactions, ms), mayBeNew);
  }

  /** All pools that can be read. */
  async pools(ms: number): Promise<readonly Pool[]> {
    const { pools } = await driveAsync(listPools(), withDeadline(this.#datastore.store, ms));
    return pools;
  }

  /** Releases the attachment's addresses and returns them. Releasing nothing is success. */
  release({ attachment, pod }: Workload, ms: number): Promise<readonly Assigned[]> {
    const now = nanoseconds(this.#clock());
    const legacy = legacyHandles(attachment, pod).filter((id) => this.#transactions.mayHold?.(id) ?? true);
    const releasing = function* () {
      const own = yield* releaseByHandle(handleIdOf(attachment), undefined, now);
      return [...own, ...(yield* releaseLegacy(legacy))];
    };
    return driveAsync(releasing(), withDeadline(this.#transactions, ms));
  }

  /** The addresses that the attachment holds. */
  held(attachment: Attachment, ms: number): Promise<readonly Assigned[]> {
    const held = readHandleContents(handleIdOf(attachment));
    return driveAsync(held, withDeadline(this.#datastore.store, ms)).then(addressesOf);
  }

  /** Releases addresses that no attachment of the network on the node holds any more, and releases unused blocks. */
  collect({ node, network, valid }: CollectOrder, ms: number): Promise<Collected> {
    const handles = new Set(valid.map((one) => handleIdOf({ network, ...one })));
    const now = nanoseconds(this.#clock());
    return this.#run(node, ms, function* () {
      const isValid = (owner: Attachment) => handles.has(handleIdOf(owner));
      const collected = yield* collect({ network, node, now, isValid });
      yield* reclaimBlocks(node);
      return collected;
    });
  }

  /** Rejects if an ADD would find no address. Changes nothing. */
  async requireFree(node: string, wanted: readonly Wanted[], ms: number): Promise<void> {
    const now = nanoseconds(this.#clock());
    await driveAsync(requireFree(node, wanted, now), withDeadline(this.#datastore.store, ms));
  }

  #run<T>(node: string, ms: number, transaction: () => Transaction<T>): Promise<T> {
    const store = withDeadline(this.#transactions, ms);
    return this.#queue.run(node, () => driveAsync(transaction(), store));
  }
}

function* requireFree(node: string, wanted: readonly Wanted[], now: bigint): Transaction<void> {
  const all = yield* listPools();
  const scope = yield* readScope(all.pools, node, undefined);
  for (const one of wanted) {
    const pools = selectPools(all, one, scope);
    let isFree = false;
    for (const pool of pools) isFree ||= yield* hasFreeAddress(node, pool, now);
    if (isFree) continue;
    const { family } = one;
    const cidrs = pools.map(({ cidr }) => cidr);
    const shortage = { family, assigned: 0, requested: 1, pools: cidrs, strictAffinity: false };
    throw new NoAddressError({ why: "pools exhausted", ...shortage });
  }
}

function nanoseconds({ seconds, nanoseconds: rest }: Clock): bigint {
  return BigInt(seconds) * 1_000_000_000n + BigInt(rest);
}

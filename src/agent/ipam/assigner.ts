/**
 * Assigns addresses to many attachments of a node at once.
 *
 *     from the node's own blocks       concurrently: updates of a block are written together (`agent/datastore/blocks.ts`)
 *     a new block, or a borrowed one   one at a time for each node; those that waited then try the node's own blocks again
 *     requested addresses              one at a time
 */
import { type AssignArgs, autoAssign } from "../../ipam/assign/assign.ts";
import type { Reach } from "../../ipam/assign/candidate.ts";
import { isEarlierSandbox } from "../../ipam/assign/earlier.ts";
import { assignAddresses } from "../../ipam/assign/explicit.ts";
import type { Wanted } from "../../ipam/assign/pool-selection.ts";
import type { Assigned } from "../../ipam/model/handle-contents.ts";
import { listPools, type Pool } from "../../ipam/model/pool.ts";
import { NoAddressError } from "../../ipam/no-address.ts";
import type { Key } from "../../store/key.ts";
import { nameOf } from "../../store/object-name.ts";
import { type AsyncStore, driveAsync, type Transaction } from "../../store/transaction.ts";
import type { Workload } from "../workload.ts";
import type { KeyedQueue } from "./keyed-queue.ts";

export interface AssignOrder extends Workload {
  /** One address from each. */
  readonly wanted: readonly Wanted[];
  /** Requested addresses, canonical, without duplicates. They replace `wanted`. */
  readonly addresses: readonly string[];
  /** Addresses that are assigned only on request. */
  readonly reserved: readonly string[];
}

export interface Assignment {
  readonly addresses: readonly Assigned[];
  /** Whether the attachment had no handle before. */
  readonly isNew: boolean;
  /** All pools at the time of the assignment. */
  readonly pools: readonly Pool[];
}

/** The options for one attachment, without the pools, which are read. */
export type AttachmentArgs = Omit<AssignArgs, "pools">;

export class Assigner {
  readonly #queue: KeyedQueue;
  /** By node: the assignment that is adding a block. */
  readonly #makingRoom = new Map<string, Promise<unknown>>();

  constructor(queue: KeyedQueue) {
    this.#queue = queue;
  }

  /** Rejects with `NoAddressError` if no address is available. */
  async assign(order: AssignOrder, own: AttachmentArgs, store: AsyncStore): Promise<Assignment> {
    const { node } = order;
    const attempt = async (reach: Reach) => {
      const noting = new NotingStore(store, own.handleId);
      const { addresses, pools } = await driveAsync(assigning(order, own, reach), noting);
      return { addresses, pools, isNew: noting.hasCreated };
    };
    if (order.addresses.length > 0) return await this.#queue.run(node, () => attempt("any"));
    for (;;) {
      try {
        return await attempt("own");
      } catch (error) {
        if (!(error instanceof NoAddressError)) throw error;
      }
      const other = this.#makingRoom.get(node);
      if (other === undefined) return await this.#makeRoom(node, () => attempt("any"));
      await other.catch(() => undefined);
    }
  }

  async #makeRoom<T>(node: string, attempt: () => Promise<T>): Promise<T> {
    const own = this.#queue.run(node, attempt);
    this.#makingRoom.set(node, own);
    try {
      return await own;
    } finally {
      this.#makingRoom.delete(node);
    }
  }
}

function* assigning(
  { attachment, pod, wanted, addresses, reserved }: AssignOrder,
  own: AttachmentArgs,
  reach: Reach,
): Transaction<Omit<Assignment, "isNew">> {
  const list = yield* listPools();
  const args = { ...own, pools: list };
  const mayTakeOver = isEarlierSandbox(attachment, pod);
  const assigned =
    addresses.length > 0
      ? yield* assignAddresses({ ...args, addresses, mayTakeOver, reserved })
      : yield* autoAssign({ ...args, wanted: wanted.map((one) => ({ ...one, count: 1 })), reserved, reach });
  return { addresses: assigned, pools: list.pools };
}

/**
 * Assumes that the handle does not exist, until its creation gets a conflict: most attachments are new. Saves a read for every pod, and is safe because
 * a create never replaces an object.
 */
class NotingStore implements AsyncStore {
  readonly #store: AsyncStore;
  readonly #handle: string;
  #hasTried = false;
  /** Whether the handle was created. */
  hasCreated = false;

  constructor(store: AsyncStore, handleId: string) {
    this.#store = store;
    this.#handle = nameOf({ kind: "IPAMHandle", handleId });
  }

  handle(request: Parameters<AsyncStore["handle"]>[0]): ReturnType<AsyncStore["handle"]> {
    if (request.op === "read" && !this.#hasTried && this.#isOwn(request.key)) return { objects: [] };
    if (request.op !== "create" || !this.#isOwn(request.key)) return this.#store.handle(request);
    this.#hasTried = true;
    return this.#create(request);
  }

  async #create(request: Parameters<AsyncStore["handle"]>[0]): Promise<Awaited<ReturnType<AsyncStore["handle"]>>> {
    const reply = await this.#store.handle(request);
    this.hasCreated ||= "objects" in reply;
    return reply;
  }

  #isOwn(key: Key): boolean {
    return key.kind === "IPAMHandle" && nameOf(key) === this.#handle;
  }
}

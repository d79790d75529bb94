/**
 * Assigns addresses to many attachments of a node at once.
 *
 *     from the node's own blocks       concurrently: updates of a block are written together (`agent/datastore/blocks.ts`)
 *     a new block, or a borrowed one   one at a time for each node; those that waited then try the node's own blocks again
 *     requested addresses              one at a time
 */
import { CoreError } from "../../errors/core-error.ts";
import { type AssignArgs, autoAssign } from "../../ipam/assign/assign.ts";
import type { Reach } from "../../ipam/assign/candidate.ts";
import { isEarlierSandbox } from "../../ipam/assign/earlier.ts";
import { assignAddresses } from "../../ipam/assign/explicit.ts";
import type { Wanted } from "../../ipam/assign/pool-selection.ts";
import type { Assigned } from "../../ipam/model/handle-contents.ts";
import { listPools, type Pool } from "../../ipam/model/pool.ts";
import { NoAddressError } from "../../ipam/no-address.ts";
import { releaseByHandle } from "../../ipam/release/release.ts";
import { type AsyncStore, driveAsync, type Transaction } from "../../store/transaction.ts";
import type { Workload } from "../workload.ts";
import type { KeyedQueue } from "./keyed-queue.ts";
import { type Take, TakingStore } from "./taking-store.ts";

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
  /** Settles when the datastore has the addresses, or will not have them. Absent: it has. */
  readonly written?: Promise<void>;
}

/** The options for one attachment, without the pools, which are read. */
export type AttachmentArgs = Omit<AssignArgs, "pools">;

/** The datastore has lost the addresses that the plugin was told to another node. */
class Overtaken extends CoreError {
  override readonly name = "Overtaken";
  readonly kind = "timeout";

  constructor(addresses: readonly string[]) {
    super(`cannot assign ${addresses.join(", ")}: another node was faster; the next attempt gets another address`);
  }
}

export class Assigner {
  readonly #queue: KeyedQueue;
  readonly #take: Take | undefined;
  /** By node: the assignment that is adding a block. */
  readonly #makingRoom = new Map<string, Promise<unknown>>();

  /** `take`: updates a block in memory, if the node's blocks are there. */
  constructor(queue: KeyedQueue, take: Take | undefined) {
    this.#queue = queue;
    this.#take = take;
  }

  /**
   * Rejects with `NoAddressError` if no address is available. `mayBeNew`: the handle is known to have no addresses, and the caller waits for `written`
   * by itself.
   */
  async assign(order: AssignOrder, own: AttachmentArgs, store: AsyncStore, mayBeNew: boolean): Promise<Assignment> {
    const { node } = order;
    const any = async () => await this.#attempt(order, own, new TakingStore(store, own.handleId, undefined), "any");
    if (order.addresses.length > 0) return await this.#queue.run(node, any);
    const taking = new TakingStore(store, own.handleId, this.#take);
    for (;;) {
      try {
        const assignment = await this.#attempt(order, own, taking, "own");
        if (mayBeNew && taking.isTaking)
          return { ...assignment, written: this.#follow(assignment, order, own, taking) };
        if (await this.#hasWritten(assignment, own, taking)) return { ...assignment, isNew: taking.hasCreated };
        continue;
      } catch (error) {
        if (!(error instanceof NoAddressError)) throw error;
      }
      const other = this.#makingRoom.get(node);
      if (other === undefined) return await this.#makeRoom(node, any);
      await other.catch(() => undefined);
    }
  }

  async #attempt(order: AssignOrder, own: AttachmentArgs, store: TakingStore, reach: Reach): Promise<Assignment> {
    const { addresses, pools } = await driveAsync(assigning(order, own, reach), store);
    return { addresses, pools, isNew: store.hasCreated };
  }

  /** Whether the datastore has the addresses; `false` after a conflict. Releases them after an error. */
  async #hasWritten({ addresses }: Assignment, { handleId }: AttachmentArgs, taking: TakingStore): Promise<boolean> {
    try {
      return await taking.settled();
    } catch (error) {
      const taken = new Set(addresses.map(({ address }) => address));
      const back = releaseByHandle(handleId, ({ address }) => taken.has(address));
      // Reports the first error: what remains is left to the next operation on the handle.
      await driveAsync(back, taking).catch(() => undefined);
      throw error;
    }
  }

  /** After a conflict it asks for the same addresses, because the plugin was told these. */
  async #follow(told: Assignment, order: AssignOrder, own: AttachmentArgs, taking: TakingStore): Promise<void> {
    if (await this.#hasWritten(told, own, taking)) return;
    const addresses = told.addresses.map(({ address }) => address);
    const again = await this.#attempt({ ...order, addresses, reserved: [] }, own, taking, "any").catch((error) => {
      throw error instanceof NoAddressError ? new Overtaken(addresses) : error;
    });
    if (again.addresses.length !== addresses.length) throw new Overtaken(addresses);
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
): Transaction<Pick<Assignment, "addresses" | "pools">> {
  const list = yield* listPools();
  const args = { ...own, pools: list };
  const mayTakeOver = isEarlierSandbox(attachment, pod);
  const assigned =
    addresses.length > 0
      ? yield* assignAddresses({ ...args, addresses, mayTakeOver, reserved })
      : yield* autoAssign({ ...args, wanted: wanted.map((one) => ({ ...one, count: 1 })), reserved, reach });
  return { addresses: assigned, pools: list.pools };
}

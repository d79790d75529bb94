/**
 * Assigns addresses to many attachments of a node at once.
 *
 *     from the node's own blocks       concurrently: updates of a block are written together (`agent/datastore/blocks.ts`)
 *     a new block, or a borrowed one   one at a time for each node; those that waited then try the node's own blocks again
 *     requested addresses              one at a time
 */
import { setTimeout as sleep } from "node:timers/promises";
import { CoreError } from "../../errors/core-error.ts";
import { type AssignArgs, autoAssign } from "../../ipam/assign/assign.ts";
import type { Reach } from "../../ipam/assign/candidate.ts";
import { isEarlierSandbox } from "../../ipam/assign/earlier.ts";
import { assignAddresses } from "../../ipam/assign/explicit.ts";
import type { Wanted } from "../../ipam/assign/pool-selection.ts";
import type { BlockSpec } from "../../ipam/model/block.ts";
import type { HandleSpec } from "../../ipam/model/handle.ts";
import type { Assigned } from "../../ipam/model/handle-contents.ts";
import { listPools, type Pool } from "../../ipam/model/pool.ts";
import { NoAddressError } from "../../ipam/no-address.ts";
import type { Key } from "../../store/key.ts";
import type { StoredObject } from "../../store/object.ts";
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

/** How long an ADD waits for others to take what is promised to them. */
const promiseMs = 5;

export class Assigner {
  readonly #queue: KeyedQueue;
  /** By node: the assignment that is adding a block. */
  readonly #makingRoom = new Map<string, Promise<unknown>>();
  readonly #promised = new Promised();

  constructor(queue: KeyedQueue) {
    this.#queue = queue;
  }

  /** Rejects with `NoAddressError` if no address is available. */
  async assign(order: AssignOrder, own: AttachmentArgs, store: AsyncStore): Promise<Assignment> {
    const { node } = order;
    const attempt = async (reach: Reach) => {
      const noting = new NotingStore(store, own.handleId, reach === "own" ? this.#promised : undefined);
      try {
        const { addresses, pools } = await driveAsync(assigning(order, own, reach), noting);
        return { addresses, pools, isNew: noting.hasCreated };
      } finally {
        noting.end();
      }
    };
    if (order.addresses.length > 0) return await this.#queue.run(node, () => attempt("any"));
    for (;;) {
      try {
        return await attempt("own");
      } catch (error) {
        if (error instanceof AllPromised) {
          await sleep(promiseMs);
          continue;
        }
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
  readonly #promised: Promised | undefined;
  /** The blocks that the handle is being written for. */
  #blocks: readonly string[] = [];
  #hasTried = false;
  /** Whether the handle was created. */
  hasCreated = false;

  /** `promised`: if the node's blocks may be too small for all that are waiting. */
  constructor(store: AsyncStore, handleId: string, promised: Promised | undefined) {
    this.#store = store;
    this.#handle = nameOf({ kind: "IPAMHandle", handleId });
    this.#promised = promised;
  }

  end(): void {
    this.#promised?.keep(this.#blocks);
    this.#blocks = [];
  }

  handle(request: Parameters<AsyncStore["handle"]>[0]): ReturnType<AsyncStore["handle"]> {
    if (request.op === "read" && !this.#hasTried && this.#isOwn(request.key)) return { objects: [] };
    // From here on the block in memory says that the address is taken.
    if (request.op === "update" && request.key.kind === "IPAMBlock") this.end();
    if (request.op !== "create" || !this.#isOwn(request.key)) return this.#store.handle(request);
    this.#promise(request.object);
    this.#hasTried = true;
    return this.#create(request);
  }

  async #create(request: Parameters<AsyncStore["handle"]>[0]): Promise<Awaited<ReturnType<AsyncStore["handle"]>>> {
    const reply = await this.#store.handle(request);
    this.hasCreated ||= "objects" in reply;
    return reply;
  }

  /** Throws `AllPromised`. */
  #promise({ spec }: StoredObject): void {
    const cidrs = Object.keys((spec as HandleSpec).block);
    if (this.#promised === undefined) return;
    this.#promised.make(cidrs, (cidr) => this.#freeIn(cidr));
    this.#blocks = cidrs;
  }

  /** `undefined` if the block is not in memory. */
  #freeIn(cidr: string): number | undefined {
    const reply = this.#store.handle({ op: "read", key: { kind: "IPAMBlock", cidr } });
    if (reply instanceof Promise) {
      reply.catch(() => undefined);
      return undefined;
    }
    const [block] = "objects" in reply ? reply.objects : [];
    return block && (block.spec as BlockSpec).unallocated.length;
  }

  #isOwn(key: Key): boolean {
    return key.kind === "IPAMHandle" && nameOf(key) === this.#handle;
  }
}

/** What a block has left is promised to handles that are being written: the ADD waits until the block shows which. */
class AllPromised extends CoreError {
  override readonly name = "AllPromised";
  readonly kind = "conflict";

  constructor(cidr: string) {
    super(`cannot assign an address of block ${cidr} yet: all are promised`);
  }
}

/**
 * How many addresses of each block are promised to handles that are being written. Without it, all of many ADDs would write handles for the last
 * addresses of a block, and most of them twice.
 */
class Promised {
  readonly #counts = new Map<string, number>();

  /** Throws `AllPromised`. */
  make(cidrs: readonly string[], freeIn: (cidr: string) => number | undefined): void {
    for (const cidr of cidrs) {
      const free = freeIn(cidr);
      if (free !== undefined && free <= this.#countOf(cidr)) throw new AllPromised(cidr);
    }
    for (const cidr of cidrs) this.#counts.set(cidr, this.#countOf(cidr) + 1);
  }

  /** They were assigned, or will not be. */
  keep(cidrs: readonly string[]): void {
    for (const cidr of cidrs) {
      const count = this.#countOf(cidr) - 1;
      if (count > 0) this.#counts.set(cidr, count);
      else this.#counts.delete(cidr);
    }
  }

  #countOf(cidr: string): number {
    return this.#counts.get(cidr) ?? 0;
  }
}

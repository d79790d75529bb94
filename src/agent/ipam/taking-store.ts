/**
 * The store for one assignment of addresses from blocks in memory.
 *
 *     read handle     none: most attachments are new             ┐
 *     create handle   kept until the block is known              ├─ until a conflict; then everything goes to the store
 *     update block    in memory at once; written behind handle   ┘
 *
 * **The transaction ends before the datastore has its writes**; `settled` waits for them. Saves a read for every pod, and is safe because a create
 * never replaces an object.
 */
import type { Key } from "../../store/key.ts";
import type { StoredObject } from "../../store/object.ts";
import { nameOf } from "../../store/object-name.ts";
import type { AsyncStore, StoreReply, StoreRequest } from "../../store/transaction.ts";
import type { Before } from "../datastore/blocks.ts";

/** `NodeStore.take`. */
export type Take = (block: StoredObject, before: Before) => StoreReply | Promise<StoreReply> | undefined;

const conflict: StoreReply = { conflict: true };

export class TakingStore implements AsyncStore {
  readonly #store: AsyncStore;
  readonly #handle: string;
  readonly #take: Take | undefined;
  /** The handle, from its creation to the update of the first block. */
  #created: StoredObject | undefined;
  /** Writes of blocks that are in memory. */
  #writes: Promise<StoreReply>[] = [];
  /** Whether the handle may exist. */
  #mayExist = false;
  /** Whether the handle was created, or is being created. */
  hasCreated = false;

  /** `take`: absent if blocks are not in memory. */
  constructor(store: AsyncStore, handleId: string, take: Take | undefined) {
    this.#store = store;
    this.#handle = nameOf({ kind: "IPAMHandle", handleId });
    this.#take = take;
  }

  /** Whether the datastore may lack what the transaction wrote. */
  get isTaking(): boolean {
    return this.#writes.length > 0;
  }

  /** Whether the datastore has everything; `false` after a conflict. Rejects with the first error. */
  async settled(): Promise<boolean> {
    const writes = this.#writes;
    if (writes.length === 0) return true;
    const outcomes = await Promise.allSettled(writes);
    this.#writes = [];
    this.hasCreated = outcomes[0]?.status === "fulfilled" && !("conflict" in outcomes[0].value);
    for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;
    return outcomes.every((outcome) => outcome.status === "fulfilled" && !("conflict" in outcome.value));
  }

  handle(request: StoreRequest): StoreReply | Promise<StoreReply> {
    if (request.op === "read" && this.#isOwn(request.key)) return this.#readHandle(request);
    if (request.op === "create" && this.#isOwn(request.key)) return this.#create(request);
    if (request.op === "update" && request.key.kind === "IPAMBlock") return this.#update(request);
    return this.#store.handle(request);
  }

  #readHandle(request: StoreRequest): StoreReply | Promise<StoreReply> {
    if (!this.#mayExist) return { objects: [] };
    if (this.#writes.length === 0) return this.#store.handle(request);
    return Promise.allSettled(this.#writes).then(() => this.#store.handle(request));
  }

  #create(request: Extract<StoreRequest, { op: "create" }>): StoreReply | Promise<StoreReply> {
    const isLater = this.#mayExist;
    this.#mayExist = true;
    if (isLater || this.#take === undefined) return this.#createNow(request);
    this.#created = request.object;
    return { objects: [request.object] };
  }

  async #createNow(request: StoreRequest): Promise<StoreReply> {
    const reply = await this.#store.handle(request);
    this.hasCreated ||= "objects" in reply;
    return reply;
  }

  #update(request: Extract<StoreRequest, { op: "update" }>): StoreReply | Promise<StoreReply> {
    const [first] = this.#writes;
    const before = this.#created !== undefined ? { handle: this.#created } : first && { done: first };
    if (before === undefined) return this.#store.handle(request);
    const reply = this.#take?.(request.object, before);
    if (reply instanceof Promise) {
      this.#created = undefined;
      this.hasCreated = true;
      reply.catch(() => undefined);
      this.#writes.push(reply);
      return { objects: [request.object] };
    }
    // Nothing was written of a handle that no block waits for.
    const isUnwritten = this.#created !== undefined;
    this.#created = undefined;
    if (isUnwritten) this.#mayExist = false;
    return reply ?? conflict;
  }

  #isOwn(key: Key): boolean {
    return key.kind === "IPAMHandle" && nameOf(key) === this.#handle;
  }
}

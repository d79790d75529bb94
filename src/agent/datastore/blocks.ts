/**
 * This node's blocks, in memory: one write serves many pods.
 *
 *     update ─┐
 *     update ─┼─► the block in memory ──► one compare-and-swap ──► all succeed, or all get a conflict
 *     update ─┘       (next revision)       (updates that arrive meanwhile wait for the next)
 *
 * **Transactions keep the guarantees of compare-and-swap**: an update succeeds only if the block is unchanged since it was read, and is answered only
 * after the datastore has stored it. Writes of other nodes arrive through the watch, or as a conflict, after which the block is read again.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { StoredObject } from "../../store/object.ts";
import type { AsyncStore, StoreReply } from "../../store/transaction.ts";

interface Waiting {
  readonly object: StoredObject;
  readonly resolve: (reply: StoreReply) => void;
  readonly reject: (error: unknown) => void;
}

interface Entry {
  /** The block with all requested updates, with a revision of our own until the datastore has stored all of them. */
  object: StoredObject;
  /** The revision in the datastore. */
  stored: string;
  /** The revision of our last write until the watch reports it; what the watch reports earlier is older. */
  expected: string | undefined;
  waiting: Waiting[];
  isWriting: boolean;
  /** When the last write began, by `performance.now()`. */
  writtenMs: number;
}

/** While many ADDs are in progress, a block is written once in this time: their updates come one by one. */
const gatherMs = 100;
const gatherStepMs = 5;

const conflict: StoreReply = { conflict: true };

/** By CIDR. */
export class Blocks {
  readonly #store: AsyncStore;
  readonly #entries = new Map<string, Entry>();
  #isListed = false;
  /** How many ADDs of the node are in progress. */
  readonly #adds: () => number;
  #revisions = 0;

  constructor(store: AsyncStore, adds: () => number) {
    this.#store = store;
    this.#adds = adds;
  }

  /** The block in memory; `undefined` if there is none. */
  get(cidr: string): StoredObject | undefined {
    return this.#entries.get(cidr)?.object;
  }

  /** All blocks of the node that are in memory; `undefined` before the watch has listed them. */
  all(): readonly StoredObject[] | undefined {
    return this.#isListed ? [...this.#entries.values()].map(({ object }) => object) : undefined;
  }

  /** Takes a block from an answer of the datastore or from the watch. */
  learn(object: StoredObject, isByWatch: boolean): void {
    const cidr = cidrOf(object);
    const entry = this.#entries.get(cidr);
    const stored = revisionOf(object);
    if (entry === undefined) {
      this.#entries.set(cidr, { object, stored, expected: undefined, waiting: [], isWriting: false, writtenMs: 0 });
      return;
    }
    if (isByWatch && entry.expected !== undefined) {
      if (entry.expected === stored) entry.expected = undefined;
      return;
    }
    // Pending updates get a conflict if they are based on another revision.
    if (isBusy(entry) || entry.stored === stored) return;
    Object.assign(entry, { object, stored });
  }

  /** For a block that was removed, or that belongs to another node. */
  forget(cidr: string): void {
    const entry = this.#entries.get(cidr);
    if (entry !== undefined && !isBusy(entry)) this.#entries.delete(cidr);
  }

  /** All blocks, after the watch was restarted. */
  learnAll(objects: readonly StoredObject[]): void {
    const listed = new Set(objects.map(cidrOf));
    this.#isListed = true;
    for (const [cidr, entry] of this.#entries) {
      entry.expected = undefined;
      if (!listed.has(cidr)) this.forget(cidr);
    }
    for (const object of objects) this.learn(object, false);
  }

  /** `undefined` if the block is not in memory: then the caller must use the datastore. */
  update(object: StoredObject): StoreReply | Promise<StoreReply> | undefined {
    const entry = this.#entries.get(cidrOf(object));
    if (entry === undefined) return undefined;
    if (!isCurrent(entry, object)) return conflict;
    const revision = `${entry.stored}+${++this.#revisions}`;
    entry.object = { ...object, metadata: { ...object.metadata, resourceVersion: revision } };
    const done = new Promise<StoreReply>((resolve, reject) => {
      entry.waiting.push({ object: entry.object, resolve, reject });
    });
    if (!entry.isWriting) void this.#write(entry);
    return done;
  }

  /** `undefined` if the block is not in memory. */
  async remove(object: StoredObject): Promise<StoreReply | undefined> {
    const cidr = cidrOf(object);
    const entry = this.#entries.get(cidr);
    if (entry === undefined) return undefined;
    if (isBusy(entry) || !isCurrent(entry, object)) return conflict;
    this.#entries.delete(cidr);
    return await this.#store.handle({
      op: "delete",
      key: { kind: "IPAMBlock", cidr },
      object: withRevision(object, entry.stored),
    });
  }

  async #write(entry: Entry): Promise<void> {
    entry.isWriting = true;
    while (entry.waiting.length > 0) {
      await this.#gather(entry);
      const together = entry.waiting;
      entry.waiting = [];
      entry.writtenMs = performance.now();
      const object = withRevision(entry.object, entry.stored);
      const outcome = await this.#attempt(object);
      if ("written" in outcome) {
        entry.stored = revisionOf(outcome.written);
        entry.expected = entry.stored;
        for (const one of together) one.resolve({ objects: [one.object] });
        continue;
      }
      this.#entries.delete(cidrOf(object));
      for (const one of together) {
        if ("error" in outcome) one.reject(outcome.error);
        else one.resolve(conflict);
      }
      // Later updates are based on the one that was not written.
      for (const one of entry.waiting) one.resolve(conflict);
      entry.waiting = [];
    }
    entry.isWriting = false;
  }

  /** Waits for more updates: those of this turn of the event loop, and in a burst of ADDs those of a short time. An ADD alone does not wait. */
  async #gather(entry: Entry): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    const end = entry.writtenMs + gatherMs;
    while (this.#adds() > entry.waiting.length && performance.now() < end) await sleep(gatherStepMs);
  }

  async #attempt(
    object: StoredObject,
  ): Promise<{ readonly written: StoredObject } | { readonly isOther: true } | { readonly error: unknown }> {
    try {
      const reply = await this.#store.handle({
        op: "update",
        key: { kind: "IPAMBlock", cidr: cidrOf(object) },
        object,
      });
      const written = "objects" in reply ? reply.objects[0] : undefined;
      return written === undefined ? { isOther: true } : { written };
    } catch (error) {
      return { error };
    }
  }
}

function isBusy({ isWriting, waiting }: Entry): boolean {
  return isWriting || waiting.length > 0;
}

/** Whether it is the block in memory or, without pending updates, the one in the datastore. */
function isCurrent(entry: Entry, object: StoredObject): boolean {
  const revision = revisionOf(object);
  return revision === revisionOf(entry.object) || (!isBusy(entry) && revision === entry.stored);
}

function withRevision(object: StoredObject, resourceVersion: string): StoredObject {
  return { ...object, metadata: { ...object.metadata, resourceVersion } };
}

function revisionOf({ metadata }: StoredObject): string {
  return metadata.resourceVersion ?? "";
}

function cidrOf({ spec }: StoredObject): string {
  return (spec as { readonly cidr: string }).cidr;
}

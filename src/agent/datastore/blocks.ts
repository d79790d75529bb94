/**
 * This node's blocks, in memory: one write serves many pods.
 *
 *     update ─┐
 *     update ─┼─► the block in memory ──► one compare-and-swap ──► all succeed, or all get a conflict
 *     update ─┘       (next revision)       (updates that arrive meanwhile wait for the next)
 *
 * **Transactions keep the guarantees of compare-and-swap**: an update succeeds only if the block is unchanged since it was read, and is answered only
 * after the datastore has stored it. Writes of other nodes arrive through the watch, or as a conflict, after which the block is read again.
 *
 * **A block is never written before the handles of its updates**: a killed agent leaves a handle without addresses at worst. A datastore that writes
 * several objects at once gets both in one request.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { StoredObject } from "../../store/object.ts";
import { StoreError } from "../../store/store-error.ts";
import type { StoreReply } from "../../store/transaction.ts";

/** What the datastore must have before an update of a block: a new handle, or what an earlier request wrote. */
export type Before = { readonly handle: StoredObject } | { readonly done: Promise<StoreReply> };

/** How blocks reach the datastore. */
export interface BlockWriter {
  /** Creates a handle; absent: `write` does. */
  readonly create?: ((handle: StoredObject) => Promise<StoreReply>) | undefined;
  /** Creates the handles and updates the block; `undefined` after a conflict, and then nothing was written. */
  write(handles: readonly StoredObject[], block: StoredObject): Promise<StoredObject | undefined>;
  remove(block: StoredObject): Promise<StoreReply>;
}

interface Waiting {
  /** The block with this update and all earlier ones. */
  readonly object: StoredObject;
  readonly before: Before | undefined;
  readonly resolve: (reply: StoreReply) => void;
  readonly reject: (error: unknown) => void;
}

type Outcome =
  | { readonly written: StoredObject }
  /** `errors`: of the updates that failed for a reason of their own. */
  | { readonly failure: Error | undefined; readonly errors: ReadonlyMap<Waiting, unknown> };

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
/** etcd executes at most 128 operations in one request. */
const maxTogether = 100;

const conflict = { conflict: true } as const;

/** By CIDR. */
export class Blocks {
  readonly #writer: BlockWriter;
  readonly #entries = new Map<string, Entry>();
  #isListed = false;
  /** How many ADDs of the node are in progress. */
  readonly #adds: () => number;
  #revisions = 0;

  constructor(writer: BlockWriter, adds: () => number) {
    this.#writer = writer;
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
  update(object: StoredObject, before?: Before): StoreReply | Promise<StoreReply> | undefined {
    const entry = this.#entries.get(cidrOf(object));
    if (entry === undefined) return undefined;
    if (!isCurrent(entry, object)) return conflict;
    const revision = `${entry.stored}+${++this.#revisions}`;
    entry.object = { ...object, metadata: { ...object.metadata, resourceVersion: revision } };
    const done = new Promise<StoreReply>((resolve, reject) => {
      entry.waiting.push({ object: entry.object, before: this.#begin(before), resolve, reject });
    });
    if (!entry.isWriting) void this.#write(entry);
    return done;
  }

  /** Handles are written side by side. */
  #begin(before: Before | undefined): Before | undefined {
    if (before === undefined || !("handle" in before) || this.#writer.create === undefined) return before;
    const { create } = this.#writer;
    // The plugin's answer goes out first: it is on the way in this turn of the event loop.
    const done = new Promise<void>((resolve) => setImmediate(resolve)).then(() => create(before.handle));
    done.catch(() => undefined);
    return { done };
  }

  /** `undefined` if the block is not in memory. */
  async remove(object: StoredObject): Promise<StoreReply | undefined> {
    const cidr = cidrOf(object);
    const entry = this.#entries.get(cidr);
    if (entry === undefined) return undefined;
    if (isBusy(entry) || !isCurrent(entry, object)) return conflict;
    this.#entries.delete(cidr);
    return await this.#writer.remove(withRevision(object, entry.stored));
  }

  async #write(entry: Entry): Promise<void> {
    entry.isWriting = true;
    while (entry.waiting.length > 0) {
      await this.#gather(entry);
      const together = entry.waiting.splice(0, maxTogether);
      entry.writtenMs = performance.now();
      const outcome = await this.#attempt(entry.stored, together);
      if ("written" in outcome) {
        entry.stored = revisionOf(outcome.written);
        entry.expected = entry.stored;
        for (const one of together) one.resolve({ objects: [one.object] });
        continue;
      }
      // Other updates contain those that were not written.
      this.#entries.delete(cidrOf(entry.object));
      for (const one of [...together, ...entry.waiting.splice(0)]) {
        const error = outcome.errors.get(one) ?? outcome.failure;
        if (error === undefined) one.resolve(conflict);
        else one.reject(error);
      }
    }
    entry.isWriting = false;
  }

  /** Waits for more updates: those of this turn of the event loop, and in a burst of ADDs those of a short time. An ADD alone does not wait. */
  async #gather(entry: Entry): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    const end = entry.writtenMs + gatherMs;
    while (this.#adds() > entry.waiting.length && performance.now() < end) await sleep(gatherStepMs);
  }

  async #attempt(stored: string, together: readonly Waiting[]): Promise<Outcome> {
    const { hasAll, ...failed } = await this.#earlier(together);
    const last = together[together.length - 1];
    if (!hasAll || last === undefined) return failed;
    try {
      const written = await this.#writer.write(together.flatMap(handleOf), withRevision(last.object, stored));
      return written === undefined ? { failure: undefined, errors: new Map() } : { written };
    } catch (error) {
      return { failure: absence(error), errors: new Map(together.map((one) => [one, error])) };
    }
  }

  /** Waits for what must be written before. */
  async #earlier(together: readonly Waiting[]) {
    const errors = new Map<Waiting, unknown>();
    let hasAll = true;
    for (const one of together) {
      if (one.before === undefined || !("done" in one.before)) continue;
      try {
        if ("conflict" in (await one.before.done)) hasAll = false;
      } catch (error) {
        errors.set(one, error);
      }
    }
    const [failure] = [...errors.values()].flatMap((error) => absence(error) ?? []);
    return { hasAll: hasAll && errors.size === 0, failure, errors };
  }
}

/** The error if it says that the datastore is away: later updates would wait in vain. */
function absence(error: unknown): Error | undefined {
  return error instanceof StoreError && error.kind === "timeout" ? error : undefined;
}

function handleOf({ before }: Waiting): readonly StoredObject[] {
  return before !== undefined && "handle" in before ? [before.handle] : [];
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

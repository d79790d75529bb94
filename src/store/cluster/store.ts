/**
 * A backend as a store: it answers the requests of transactions.
 *
 * **Retries a request without an answer until its deadline.** A write whose answer was lost may have been executed; the retry then meets a
 * conflict. If the stored object is what this request would have written, the request has succeeded. Otherwise the caller would give up a handle
 * or a block that belongs to its own node.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { WriteTogether } from "../async-datastore.ts";
import { backoffMs } from "../backoff.ts";
import { matches } from "../filter.ts";
import { readValue } from "../json-text.ts";
import { type Key, keyOf } from "../key.ts";
import type { StoredObject } from "../object.ts";
import type { StoreError } from "../store-error.ts";
import type { AsyncStore, StoreReply, StoreRequest } from "../transaction.ts";
import { type Backend, Compacted, listAll, Unanswered } from "./backend.ts";

export interface ClusterStoreOptions {
  readonly deadlineMs: number;
  readonly onDamaged: (error: StoreError) => void;
}

const conflict: StoreReply = { conflict: true };
const nothing: StoreReply = { nothing: true };
/** Between two attempts of one request. */
const firstPauseMs = 25;
const maxPauseMs = 500;

export function clusterStore(backend: Backend, options: ClusterStoreOptions): AsyncStore {
  return { handle: (request) => answer(backend, options, request) };
}

async function answer(backend: Backend, options: ClusterStoreOptions, request: StoreRequest): Promise<StoreReply> {
  const { deadlineMs } = options;
  switch (request.op) {
    case "read":
      return found(await persist(deadlineMs, () => backend.read(request.key)));
    case "list":
      return { objects: await listed(backend, options, request) };
    case "create":
    case "update":
      return written(await persist(deadlineMs, (isRepeated) => write(backend, request, isRepeated)));
    case "delete":
      return (await persist(deadlineMs, (isRepeated) => remove(backend, request, isRepeated)))
        ? found(undefined)
        : conflict;
    case "wait":
      await sleep(backoffMs(request.attempt, Math.random()));
      return nothing;
    default:
      return nothing;
  }
}

async function listed(
  backend: Backend,
  { deadlineMs, onDamaged }: ClusterStoreOptions,
  { kind, filter, isWhole }: Extract<StoreRequest, { op: "list" }>,
): Promise<readonly StoredObject[]> {
  const { objects, damaged } = await persist(deadlineMs, () => listAll(backend, kind, filter));
  for (const error of damaged) {
    if (isWhole) throw error;
    onDamaged(error);
  }
  return objects.filter((object) => matches(object, filter)).sort(byName);
}

async function write(
  backend: Backend,
  { op, key, object }: { readonly op: "create" | "update"; readonly key: Key; readonly object: StoredObject },
  isRepeated: boolean,
): Promise<StoredObject | undefined> {
  const stored = await backend[op](key, object);
  if (stored !== undefined || !isRepeated) return stored;
  const now = await backend.read(key);
  return now !== undefined && canonical(now.spec) === canonical(object.spec) ? now : undefined;
}

async function remove(
  backend: Backend,
  { key, object }: { readonly key: Key; readonly object: StoredObject },
  isRepeated: boolean,
): Promise<boolean> {
  return (await backend.remove(key, object)) || (isRepeated && (await backend.read(key)) === undefined);
}

/** The same for a request that writes several objects, all or nothing: what it did to one it did to all. */
export function persistTogether(
  backend: Pick<Backend, "read">,
  writeTogether: WriteTogether,
  deadlineMs: number,
): WriteTogether {
  return (created, updated) =>
    persist(deadlineMs, async (isRepeated) => {
      const written = await writeTogether(created, updated);
      if (written !== undefined || !isRepeated) return written;
      const now = await backend.read(keyOf(updated));
      if (now === undefined || canonical(now.spec) !== canonical(updated.spec)) return undefined;
      const resourceVersion = now.metadata.resourceVersion;
      return { created: created.map((object) => withRevision(object, resourceVersion)), updated: now };
    });
}

function withRevision(object: StoredObject, resourceVersion: string | undefined): StoredObject {
  return { ...object, metadata: { ...object.metadata, resourceVersion } } as StoredObject;
}

/** Retries until there is an answer; throws the last error after the deadline. */
async function persist<T>(deadlineMs: number, request: (isRepeated: boolean) => Promise<T>): Promise<T> {
  const deadline = Date.now() + deadlineMs;
  for (let tries = 0; ; tries++) {
    try {
      return await request(tries > 0);
    } catch (error) {
      const pauseMs = Math.min(maxPauseMs, firstPauseMs * 2 ** tries) * (0.5 + Math.random());
      // The server drops the pages of a slow listing; the retry starts with the first page.
      const mayPass = error instanceof Unanswered || error instanceof Compacted;
      if (!mayPass || Date.now() + pauseMs > deadline) throw error;
      await sleep(pauseMs);
    }
  }
}

/** One text for equal values: keys sorted, null fields omitted. */
function canonical(value: unknown): string {
  const read = readValue(value);
  if (typeof read === "bigint") return read.toString();
  if (Array.isArray(read)) return `[${read.map(canonical).join()}]`;
  if (typeof read !== "object" || read === null) return JSON.stringify(read) ?? "null";
  const members = Object.entries(read).filter(([, member]) => member !== undefined && member !== null);
  return `{${members
    .map(([key, member]) => `${JSON.stringify(key)}:${canonical(member)}`)
    .sort()
    .join()}}`;
}

function byName({ metadata: { name: one } }: StoredObject, { metadata: { name: other } }: StoredObject): number {
  return one < other ? -1 : Number(one > other);
}

function found(object: StoredObject | undefined): StoreReply {
  return { objects: object === undefined ? [] : [object] };
}

function written(object: StoredObject | undefined): StoreReply {
  return object === undefined ? conflict : found(object);
}

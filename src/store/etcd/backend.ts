/**
 * etcd as a backend: an object is a key, its revision is the key's mod_revision.
 *
 *     create    if the key does not exist       put
 *     update    if the key was not modified     put
 *     delete    if the key was not modified     delete
 */
import type { WrittenTogether } from "../async-datastore.ts";
import {
  type About,
  type Backend,
  type Change,
  Compacted,
  type Listing,
  listAll,
  Unanswered,
} from "../cluster/backend.ts";
import { DamagedError } from "../damage.ts";
import { objectFault } from "../decode.ts";
import type { Filter } from "../filter.ts";
import { InvalidObject } from "../invalid-object.ts";
import { type Key, keyOf } from "../key.ts";
import type { Kind, StoredObject } from "../object.ts";
import { nameOf } from "../object-name.ts";
import { StoreError } from "../store-error.ts";
import { EtcdClient, type EtcdSettings } from "./client.ts";
import { etcdLease } from "./lease.ts";
import { keyAt, pathOf, prefixOf } from "./paths.ts";
import type { KeyValue, RangeResponse, TxnResponse, WatchResponse } from "./protocol.ts";
import { decodeValue, encodeValue } from "./values.ts";

/** A page is in memory as bytes and as objects. */
const maxPage = 400;
const pageTimeoutMs = 10_000;

interface Access {
  readonly client: EtcdClient;
  readonly timeoutMs: number;
  readonly pageSize: number;
}

export function etcdBackend(settings: EtcdSettings, timeoutMs: number, pageSize = maxPage): Backend {
  const client = new EtcdClient(settings);
  const access = { client, timeoutMs, pageSize };
  return {
    read: (key) => read(access, key),
    pages: (kind, filter) => pages(access, kind, filter),
    lease: (name) => etcdLease(client, name, timeoutMs),
    create: (key, object) => put(access, "create", key, object),
    update: (key, object) => put(access, "update", key, object),
    writeTogether: (created, updated) => writeTogether(access, created, updated),
    remove: (key, object) => remove(access, key, object),
    changes: (kind, filter, after, signal) => changes(access, { kind, filter, after }, signal),
    close: () => client.close(),
  };
}

async function read(access: Access, key: Key): Promise<StoredObject | undefined> {
  const path = pathOf(key);
  if (path === undefined) {
    const { objects } = await listAll({ pages: (kind, filter) => pages(access, kind, filter) }, key.kind, {});
    return objects.find(({ metadata }) => metadata.name === nameOf(key));
  }
  const { client, timeoutMs } = access;
  const request = { key: Buffer.from(path) };
  const { kvs } = await client.call<RangeResponse>("Range", request, about("read", key), timeoutMs);
  return kvs[0] && decode(key, kvs[0]);
}

/** All pages have the revision of the first one. */
async function* pages({ client, pageSize }: Access, kind: Kind, filter: Filter): AsyncGenerator<Listing> {
  const prefix = prefixOf(kind, filter);
  // A kind that etcd does not store never changes; this revision always exists.
  if (prefix === undefined) return yield { objects: [], damaged: [], revision: "0" };
  const rangeEnd = endOf(prefix);
  let key = Buffer.from(prefix);
  for (let revision = "0"; ; ) {
    const request = { key, rangeEnd, limit: pageSize, revision };
    const { header, kvs, more } = await client.call<RangeResponse>(
      "Range",
      request,
      aboutAll("list", kind),
      pageTimeoutMs,
    );
    if (revision === "0") revision = header.revision;
    const objects: StoredObject[] = [];
    const damaged: StoreError[] = [];
    for (const kv of kvs) collect(kind, kv, objects, damaged);
    yield { objects, damaged, revision };
    const last = kvs[kvs.length - 1];
    if (!more || last === undefined) return;
    key = Buffer.concat([last.key, Buffer.of(0)]);
  }
}

function collect(kind: Kind, kv: KeyValue, objects: StoredObject[], damaged: StoreError[]): void {
  const key = keyAt(kind, kv.key.toString());
  if (key === undefined) return;
  try {
    objects.push(decode(key, kv));
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    damaged.push(error);
  }
}

async function put(
  { client, timeoutMs }: Access,
  action: "create" | "update",
  key: Key,
  object: StoredObject,
): Promise<StoredObject | undefined> {
  const { compare, put, stored } = putOf(action, key, object);
  const { header, succeeded } = await client.call<TxnResponse>(
    "Txn",
    { compare: [compare], success: [put] },
    about(action, key),
    timeoutMs,
  );
  return succeeded ? stored(header.revision) : undefined;
}

/** One transaction of etcd. */
async function writeTogether(
  { client, timeoutMs }: Access,
  created: readonly StoredObject[],
  updated: StoredObject,
): Promise<WrittenTogether | undefined> {
  const creations = created.map((object) => putOf("create", keyOf(object), object));
  const update = putOf("update", keyOf(updated), updated);
  const all = [...creations, update];
  const request = { compare: all.map(({ compare }) => compare), success: all.map(({ put }) => put) };
  const subject = about("update", keyOf(updated));
  const { header, succeeded } = await client.call<TxnResponse>("Txn", request, subject, timeoutMs);
  if (!succeeded) return undefined;
  const { revision } = header;
  return { created: creations.map(({ stored }) => stored(revision)), updated: update.stored(revision) };
}

/** The parts of a transaction that write the object, and the object as it is then stored. */
function putOf(action: "create" | "update", key: Key, object: StoredObject) {
  const path = Buffer.from(writable(action, key));
  const value = encodeValue(key, object, new Date());
  const unchanged = { result: "EQUAL", key: path };
  const compare =
    action === "create"
      ? { ...unchanged, target: "VERSION", version: "0" }
      : { ...unchanged, target: "MOD", modRevision: revisionOf(object) };
  return {
    compare,
    put: { requestPut: { key: path, value: Buffer.from(value) } },
    stored: (revision: string) =>
      isKeptAsIs(key) ? asStored(key, object, revision) : decodeValue(key, value, revision),
  };
}

/** Of these, every member that IPAM writes is stored; parsing a block of many addresses again takes longer than its request. */
function isKeptAsIs({ kind }: Key): boolean {
  return kind === "IPAMBlock" || kind === "IPAMHandle";
}

function asStored(key: Key, { apiVersion, kind, spec }: StoredObject, resourceVersion: string): StoredObject {
  return { apiVersion, kind, metadata: { name: nameOf(key), resourceVersion }, spec };
}

async function remove({ client, timeoutMs }: Access, key: Key, object: StoredObject): Promise<boolean> {
  const path = Buffer.from(writable("delete", key));
  const compare = { result: "EQUAL", key: path, target: "MOD", modRevision: revisionOf(object) };
  const request = { compare: [compare], success: [{ requestDeleteRange: { key: path } }] };
  return (await client.call<TxnResponse>("Txn", request, about("delete", key), timeoutMs)).succeeded;
}

async function* changes(
  { client, timeoutMs }: Access,
  { kind, filter, after }: { readonly kind: Kind; readonly filter: Filter; readonly after: string },
  signal: AbortSignal,
): AsyncIterable<Change> {
  const prefix = prefixOf(kind, filter);
  if (prefix === undefined) return yield* never(signal);
  const request = {
    key: Buffer.from(prefix),
    rangeEnd: endOf(prefix),
    startRevision: (BigInt(after) + 1n).toString(),
    progressNotify: true,
  };
  for await (const response of client.watch(request, aboutAll("watch", kind), signal, timeoutMs)) {
    if (response.canceled) throw canceled(kind, response);
    yield* changesIn(kind, response);
  }
}

/** For a kind that etcd does not store. */
async function* never(signal: AbortSignal): AsyncGenerator<Change> {
  await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}

function* changesIn(kind: Kind, { header, created, events }: WatchResponse): Iterable<Change> {
  for (const { type, kv } of events) {
    const key = keyAt(kind, kv.key.toString());
    if (key === undefined) continue;
    if (type === "DELETE") yield { type: "gone", key, revision: kv.modRevision };
    else yield changed(key, kv);
  }
  // The revision of any other answer is the store's, which the watch may not have reached yet.
  if (!created && events.length === 0) yield { type: "bookmark", revision: header.revision };
}

function changed(key: Key, kv: KeyValue): Change {
  try {
    return { type: "set", object: decode(key, kv), revision: kv.modRevision };
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    return { type: "damaged", key, error, revision: kv.modRevision };
  }
}

function canceled(kind: Kind, { compactRevision, cancelReason }: WatchResponse): StoreError {
  if (compactRevision !== "0") return new Compacted(kind, `changes up to revision ${compactRevision} are compacted`);
  return new Unanswered("watch", { kind, name: "" }, `etcd ended the watch: ${cancelReason}`);
}

function decode(key: Key, { value, modRevision }: KeyValue): StoredObject {
  const ref = { kind: key.kind, name: nameOf(key) };
  try {
    const object = decodeValue(key, value.toString(), modRevision);
    const fault = objectFault(key.kind, object);
    if (fault !== undefined) throw new InvalidObject(ref, fault);
    return object;
  } catch (error) {
    if (error instanceof SyntaxError) throw new DamagedError("read", ref, error.message);
    throw error;
  }
}

function writable(action: string, key: Key): string {
  const path = pathOf(key);
  if (path !== undefined) return path;
  throw new StoreError({ ...about(action, key), reason: "Calico keeps no such object in etcd" });
}

function revisionOf({ metadata }: StoredObject): string {
  return metadata.resourceVersion ?? "0";
}

function about(action: string, key: Key): About {
  return { action, object: { kind: key.kind, name: nameOf(key) } };
}

function aboutAll(action: string, kind: Kind): About {
  return { action, object: { kind, name: "" } };
}

/** The first key after all keys with the prefix. Our prefixes end in ASCII. */
function endOf(prefix: string): Buffer {
  const end = Buffer.from(prefix);
  end[end.length - 1] = (end[end.length - 1] ?? 0) + 1;
  return end;
}

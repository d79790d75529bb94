/**
 * A Kubernetes API server as a backend: an object is a custom resource, its revision the resource's version.
 *
 * **Blocks, affinities and handles are deleted in two steps**, because the API's DELETE compares no revision: a conditional update sets `deleted`,
 * then a DELETE of this UID follows. A reader that finds an object between the two steps completes the deletion.
 */
import { type About, type Backend, type Change, Compacted, type Listing, Unanswered } from "../cluster/backend.ts";
import type { ApiGroup } from "../cluster/settings.ts";
import { DamagedError } from "../damage.ts";
import { objectFault } from "../decode.ts";
import type { Filter } from "../filter.ts";
import { InvalidObject } from "../invalid-object.ts";
import { type Key, keyOf } from "../key.ts";
import type { Kind, StoredObject } from "../object.ts";
import { StoreError } from "../store-error.ts";
import { type Api, conflict, type ListBody, missing, type WatchEvent } from "./api.ts";
import { issueKubeconfig } from "./kubeconfig.ts";
import { kubernetesLease } from "./lease.ts";
import { patchOfNode } from "./node.ts";
import { setNodeCondition } from "./node-condition.ts";
import { decodeObject, encodeObject, isHalfDeleted, isInternal, otherUid } from "./objects.ts";
import { type PodEndpoint, patchOfEndpoint, patchOfRemoval } from "./pod.ts";
import { defaultProfile, profileOfNamespace, profileOfServiceAccount, serviceAccountsPath } from "./profiles.ts";
import { type Raw, resourceName, resourceOf, pathOf as resourcePath, selectorOf } from "./resources.ts";

/** Kinds of the cluster, which Calico's clients neither create nor delete. */
const clusters: ReadonlySet<Kind> = new Set(["Node", "Namespace", "WorkloadEndpoint", "Profile"]);
/** A page is in memory as text and as objects: an agent of a large cluster needs 25 MiB less for a moment than with pages of 500. */
const maxPage = 200;
const pageTimeoutMs = 10_000;
/** A watch is renewed after at most this many seconds. */
const maxWatchSeconds = 600;

interface Access {
  readonly api: Api;
  readonly group: ApiGroup;
  readonly timeoutMs: number;
  readonly pageSize: number;
}

export function kubernetesBackend(api: Api, group: ApiGroup, timeoutMs: number, pageSize = maxPage): Backend {
  const access = { api, group, timeoutMs, pageSize };
  return {
    read: (key) => read(access, key),
    pages: (kind, filter) => pages(access, kind, filter),
    lease: (name) => kubernetesLease(api, name, timeoutMs),
    setNodeCondition: (node, condition) => setNodeCondition(api, node, condition, timeoutMs),
    issueKubeconfig: (account, seconds) => issueKubeconfig(api, account, seconds, timeoutMs),
    create: (key, object) => create(access, key, object),
    update: (key, object) => update(access, key, object),
    remove: (key, object) => remove(access, key, object),
    changes: (kind, filter, after, signal) => changes(access, { kind, filter, after }, signal),
    close: () => api.close(),
  };
}

async function read(access: Access, key: Key): Promise<StoredObject | undefined> {
  const { api, timeoutMs } = access;
  if (key.kind === "Profile") {
    const { objects } = await listProfiles(access);
    return objects.find(({ metadata }) => metadata.name === resourceName(key));
  }
  const raw = await api.call<Raw>({ method: "GET", path: pathOf(access, key), timeoutMs }, about("read", key));
  if (raw === missing || raw === conflict) return undefined;
  const object = decode(access, key.kind, raw);
  if (!isHalfDeleted(object)) return requireOwn(key, object);
  await finishDelete(access, key, object);
  return undefined;
}

/** Two handles whose IDs differ only in case have the same name. */
function requireOwn(key: Key, object: StoredObject): StoredObject {
  const { handleID } = object.spec as { readonly handleID?: unknown };
  if (!("handleId" in key) || handleID === key.handleId) return object;
  throw new StoreError({
    ...about("read", key),
    reason: `the object of this name is of handle ${JSON.stringify(handleID)}`,
  });
}

async function* pages(access: Access, kind: Kind, filter: Filter): AsyncGenerator<Listing> {
  if (kind === "Profile") return yield await listProfiles(access);
  for await (const page of rawPages(access, kind, resourceOf(kind, access.group).path, filter)) {
    const objects: StoredObject[] = [];
    const damaged: StoreError[] = [];
    for (const raw of page.items) collect(access, kind, raw, objects, damaged);
    yield { objects, damaged, revision: page.metadata.resourceVersion };
  }
}

async function listProfiles(access: Access): Promise<Listing> {
  const objects: StoredObject[] = [defaultProfile];
  let revision = "";
  for await (const { items, metadata } of rawPages(access, "Profile", "/api/v1/namespaces", {})) {
    objects.push(...items.map(profileOfNamespace));
    revision = metadata.resourceVersion;
  }
  for await (const { items } of rawPages(access, "Profile", serviceAccountsPath, {}))
    objects.push(...items.map(profileOfServiceAccount));
  return { objects, damaged: [], revision };
}

async function* rawPages(access: Access, kind: Kind, path: string, filter: Filter): AsyncGenerator<ListBody> {
  for (let next: string | undefined = ""; next !== undefined; ) {
    const query = new URLSearchParams({ limit: String(access.pageSize) });
    narrow(query, kind, filter);
    if (next !== "") query.set("continue", next);
    const body = await listPage(access, kind, `${path}?${query}`);
    yield body;
    next = body.metadata.continue || undefined;
  }
}

async function listPage({ api }: Access, kind: Kind, path: string): Promise<ListBody> {
  const body = await api.call<ListBody>({ method: "GET", path, timeoutMs: pageTimeoutMs }, aboutAll("list", kind));
  if (body !== missing && body !== conflict) return body;
  throw new StoreError({ ...aboutAll("list", kind), reason: `the API server does not know ${path}` });
}

function narrow(query: URLSearchParams, kind: Kind, filter: Filter): void {
  const selector = selectorOf(kind, filter);
  if (selector !== "") query.set("labelSelector", selector);
  if (kind === "WorkloadEndpoint" && filter.node !== undefined)
    query.set("fieldSelector", `spec.nodeName=${filter.node}`);
}

/** Affinities marked as deleted count as missing, as in Calico; blocks and handles are handled when they are read. */
function collect(access: Access, kind: Kind, raw: Raw, objects: StoredObject[], damaged: StoreError[]): void {
  try {
    const object = decode(access, kind, raw);
    if (kind !== "BlockAffinity" || !isHalfDeleted(object)) objects.push(object);
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    damaged.push(error);
  }
}

async function create(access: Access, key: Key, object: StoredObject): Promise<StoredObject | undefined> {
  requireWritable("create", key);
  const { api, group, timeoutMs } = access;
  const { uid: _uid, resourceVersion: _revision, ...metadata } = object.metadata;
  const body = encodeObject(key, { ...object, metadata }, group);
  const { path } = resourceOf(key.kind, group);
  const isBrief = isInternal(key.kind);
  const raw = await api.call<Raw>({ method: "POST", path, body, timeoutMs, isBrief }, about("create", key));
  return raw === missing || raw === conflict ? undefined : storedAs(access, key.kind, body, raw);
}

async function update(access: Access, key: Key, object: StoredObject): Promise<StoredObject | undefined> {
  const { api, group, timeoutMs } = access;
  if (key.kind === "WorkloadEndpoint") return await updateEndpoint(access, key, object as PodEndpoint);
  if (key.kind === "Node") return await updateNode(access, key, object);
  requireWritable("update", key);
  const body = withoutManagers(key.kind, encodeObject(key, object, group));
  const call = { method: "PUT", path: pathOf(access, key), body, timeoutMs, isBrief: isInternal(key.kind) } as const;
  const raw = await api.call<Raw>(call, about("update", key));
  return raw === missing || raw === conflict ? undefined : storedAs(access, key.kind, body, raw);
}

/**
 * Removes the server's record of who set which field (`managedFields`), which it otherwise computes for each write: a handle and a block of 32
 * addresses are written in 5.4 ms instead of 6.1. IPAM replaces blocks whole, so the record says nothing.
 */
function withoutManagers(kind: Kind, body: Raw): Raw {
  return kind === "IPAMBlock" ? { ...body, metadata: { ...body.metadata, managedFields: [{}] } } : body;
}

/** The API server stores blocks, affinities and handles as it gets them, so that its answer need not repeat them. */
function storedAs(access: Access, kind: Kind, body: Raw, answer: Raw): StoredObject {
  return decode(access, kind, isInternal(kind) ? { ...body, metadata: answer.metadata } : answer);
}

/** Calico's data of a node is in annotations. */
async function updateNode(access: Access, key: Key, node: StoredObject): Promise<StoredObject | undefined> {
  const { api, timeoutMs } = access;
  const call = { method: "PATCH", path: `${pathOf(access, key)}/status`, body: patchOfNode(node), timeoutMs } as const;
  const raw = await api.call<Raw>(call, about("update", key));
  return raw === missing || raw === conflict ? undefined : decode(access, key.kind, raw);
}

async function updateEndpoint(access: Access, key: Key, endpoint: PodEndpoint): Promise<StoredObject | undefined> {
  const { api, timeoutMs } = access;
  const path = `${pathOf(access, key)}/status`;
  const call = { method: "PATCH", path, body: patchOfEndpoint(endpoint), timeoutMs, isBrief: true } as const;
  const raw = await api.call<Raw>(call, about("update", key));
  if (raw === missing || raw === conflict) return undefined;
  const { resourceVersion, annotations } = raw.metadata;
  return { ...endpoint, metadata: { ...endpoint.metadata, ...{ resourceVersion, annotations } } } as StoredObject;
}

async function remove(access: Access, key: Key, object: StoredObject): Promise<boolean> {
  if (key.kind === "WorkloadEndpoint") return await removeEndpoint(access, key, object as PodEndpoint);
  requireWritable("delete", key);
  if (!isInternal(key.kind)) return (await deleteObject(access, key, object, true)) === "deleted";
  const spec = { ...(object.spec as object), deleted: true };
  const marked = await update(access, key, { ...object, spec });
  if (marked === undefined) return false;
  await finishDelete(access, key, marked);
  return true;
}

/** Does not delete the pod. */
async function removeEndpoint(access: Access, key: Key, endpoint: PodEndpoint): Promise<boolean> {
  const { api, timeoutMs } = access;
  const path = `${pathOf(access, key)}/status`;
  const call = { method: "PATCH", path, body: patchOfRemoval(endpoint), timeoutMs } as const;
  const answer = await api.call(call, about("delete", key));
  return answer !== missing && answer !== conflict;
}

/** A concurrent deletion is success. */
async function finishDelete(access: Access, key: Key, marked: StoredObject): Promise<void> {
  await deleteObject(access, key, marked, false);
}

async function deleteObject(
  access: Access,
  key: Key,
  { metadata: { uid, resourceVersion } }: StoredObject,
  comparesRevision: boolean,
): Promise<"deleted" | "conflict"> {
  const { api, group, timeoutMs } = access;
  const stored = otherUid(key.kind, String(uid), group);
  const preconditions = { uid: stored, ...(comparesRevision && { resourceVersion }) };
  const body = { apiVersion: "v1", kind: "DeleteOptions", preconditions };
  const call = { method: "DELETE", path: pathOf(access, key), body, timeoutMs } as const;
  const answer = await api.call(call, about("delete", key));
  return answer === missing || answer === conflict ? "conflict" : "deleted";
}

async function* changes(
  access: Access,
  { kind, filter, after }: { readonly kind: Kind; readonly filter: Filter; readonly after: string },
  signal: AbortSignal,
): AsyncIterable<Change> {
  const { api, group } = access;
  const seconds = Math.ceil(maxWatchSeconds * (0.5 + Math.random() / 2));
  const query = new URLSearchParams({
    watch: "true",
    resourceVersion: after,
    allowWatchBookmarks: "true",
    timeoutSeconds: String(seconds),
  });
  narrow(query, kind, filter);
  const path = `${resourceOf(kind, group).path}?${query}`;
  for await (const { type, object } of api.watch(path, aboutAll("watch", kind), signal)) {
    if (type === "ERROR") throw watchFault(kind, object);
    const revision = object.metadata.resourceVersion ?? after;
    if (type === "BOOKMARK") yield { type: "bookmark", revision };
    else yield changed(access, kind, { type, object }, revision);
  }
}

function changed(access: Access, kind: Kind, { type, object: raw }: WatchEvent, revision: string): Change {
  try {
    const object = decode(access, kind, raw);
    const isGone = type === "DELETED" || (kind === "BlockAffinity" && isHalfDeleted(object));
    return isGone ? { type: "gone", key: keyOf(object), revision } : { type: "set", object, revision };
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    return { type: "damaged", key: { kind, name: raw.metadata.name }, error, revision };
  }
}

function watchFault(kind: Kind, status: Raw): StoreError {
  const { code, message } = status as { readonly code?: unknown; readonly message?: unknown };
  if (code === 410) return new Compacted(kind, String(message));
  return new Unanswered("watch", { kind, name: "" }, String(message));
}

function decode({ group }: Access, kind: Kind, raw: Raw): StoredObject {
  const ref = { kind, name: String(raw.metadata?.name) };
  try {
    const object = decodeObject(kind, raw, group);
    const fault = objectFault(kind, object);
    if (fault !== undefined) throw new InvalidObject(ref, fault);
    return object;
  } catch (error) {
    if (error instanceof SyntaxError) throw new DamagedError("read", ref, error.message);
    throw error;
  }
}

/** Nodes, namespaces and pods belong to the cluster; profiles are derived from namespaces and service accounts. */
function requireWritable(action: string, key: Key): void {
  if (!clusters.has(key.kind)) return;
  throw new StoreError({ ...about(action, key), reason: "it is the cluster's, not Calico's" });
}

function pathOf({ group }: Access, key: Key): string {
  return resourcePath(key, group);
}

function about(action: string, key: Key): About {
  return { action, object: { kind: key.kind, name: resourceName(key) } };
}

function aboutAll(action: string, kind: Kind): About {
  return { action, object: { kind, name: "" } };
}

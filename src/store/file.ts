/**
 * The embedded store: one JSON file per object.
 *
 *     /run/tortie/ipam.lock                              held around every transaction
 *     /run/tortie/ipam/blocks/192-168-185-0-26.json      allocations: they die with the sandboxes, on a tmpfs
 *     /run/tortie/ipam/{affinities,handles,cursors,open}/…
 *     /var/lib/tortie/{ippools,ipreservations,ipamconfigs,nodes,namespaces}/…     settings: synced to the disk before they count
 *
 * **A file is old or new, never torn**: it is written beside and renamed. **A write compares revisions while the lock is held**, so the
 * comparison cannot be overtaken. **One damaged object does not hide the others**: reading it fails by name, listing leaves it out, and
 * setting it aside keeps it beside its place as `<file>.damaged-<time>`, which nobody reads.
 */
import { CoreError } from "../errors/core-error.ts";
import { type FileStat, isErrno, type Sys } from "../host/sys.ts";
import { runDir, stateDir } from "../identity/names.ts";
import { sha256 } from "../net/digest.ts";
import { DamagedError } from "./damage.ts";
import { formatObject, parseObject } from "./layout.ts";
import type { Kind, Metadata, StoredObject } from "./object.ts";
import { StoreError } from "./store-error.ts";
import type { Store, StoreReply, StoreRequest } from "./transaction.ts";

export interface FileStoreOptions {
  /** Told of objects that a listing left out. */
  readonly onDamaged?: (error: StoreError) => void;
}

interface Place {
  readonly directory: string;
  readonly durable: boolean;
}

/** Never change: upgrades depend on it. */
export const places: Readonly<Record<Kind, Place>> = {
  IPPool: { directory: `${stateDir}/ippools`, durable: true },
  IPReservation: { directory: `${stateDir}/ipreservations`, durable: true },
  IPAMConfig: { directory: `${stateDir}/ipamconfigs`, durable: true },
  Node: { directory: `${stateDir}/nodes`, durable: true },
  Namespace: { directory: `${stateDir}/namespaces`, durable: true },
  IPAMBlock: { directory: `${runDir}/ipam/blocks`, durable: false },
  BlockAffinity: { directory: `${runDir}/ipam/affinities`, durable: false },
  IPAMHandle: { directory: `${runDir}/ipam/handles`, durable: false },
  IPAMCursor: { directory: `${runDir}/ipam/cursors`, durable: false },
  IPAMOpenBlock: { directory: `${runDir}/ipam/open`, durable: false },
};

/** Who may read who talks from where is root's to say. */
const directoryMode = 0o700;
export const fileMode = 0o600;
const suffix = ".json";

/** What a file was when it was read; a rename gives it another inode. */
interface Seen {
  readonly stat: FileStat;
  readonly revision: string;
}

/** For writing, the caller holds the lock (`withFileStore`); reading needs none. */
export function fileStore(sys: Sys, { onDamaged }: FileStoreOptions = {}): Store {
  const seen = new Map<string, Seen>();
  return { handle: (request) => handle({ sys, seen, onDamaged }, request) };
}

interface Context {
  readonly sys: Sys;
  readonly seen: Map<string, Seen>;
  readonly onDamaged: FileStoreOptions["onDamaged"];
}

const conflict: StoreReply = { conflict: true };

function handle(context: Context, request: StoreRequest): StoreReply {
  switch (request.op) {
    case "read": {
      const object = readObject(context, request.kind, request.name);
      return { objects: object === undefined ? [] : [object] };
    }
    case "list":
      return { objects: listObjects(context, request.kind) };
    case "create":
      return createObject(context, request.object);
    case "update":
      return updateObject(context, request.object);
    case "delete":
      return deleteObject(context, request.object);
    case "set aside":
      return setAside(context, request);
  }
}

function readObject(context: Context, kind: Kind, name: string): StoredObject | undefined {
  const path = pathOf(kind, name);
  return attempt("read", kind, name, () => readFile(context, kind, path));
}

function readFile({ sys, seen }: Context, kind: Kind, path: string): StoredObject | undefined {
  const stat = sys.stat(path);
  if (stat === undefined) return undefined;
  try {
    const object = decodeObject(kind, path, sys.readFile(path, "refused"));
    seen.set(path, { stat, revision: revisionOf(object.metadata) });
    return object;
  } catch (error) {
    if (error instanceof SyntaxError) throw new SyntaxError(`"${path}" is damaged: ${error.message}`);
    throw error;
  }
}

function listObjects(context: Context, kind: Kind): StoredObject[] {
  const { directory } = places[kind];
  const objects: StoredObject[] = [];
  for (const file of filesIn(context.sys, kind)) {
    try {
      const object = attempt("read", kind, nameOf(file), () => readFile(context, kind, `${directory}/${file}`));
      if (object !== undefined) objects.push(object);
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      context.onDamaged?.(error);
    }
  }
  return objects;
}

function filesIn(sys: Sys, kind: Kind): string[] {
  const { directory } = places[kind];
  return attempt("list", kind, "", () => {
    if (sys.stat(directory) === undefined) return [];
    const files = sys.listDir(directory).filter((file) => file.endsWith(suffix) && !file.startsWith("."));
    return files.sort();
  });
}

function createObject({ sys }: Context, object: StoredObject): StoreReply {
  const { kind, metadata } = object;
  const path = pathOf(kind, metadata.name);
  const created = asNew(sys, object);
  return attempt("create", kind, metadata.name, () => {
    if (places[kind].durable) {
      if (sys.stat(path) !== undefined) return conflict;
      inDirectory(sys, kind, () => sys.replaceFile(path, formatObject(created), { mode: fileMode, durable: true }));
      return { objects: [created] };
    }
    try {
      inDirectory(sys, kind, () => sys.createFile(path, formatObject(created), fileMode));
    } catch (error) {
      if (isErrno(error, "EEXIST")) return conflict;
      throw error;
    }
    return { objects: [created] };
  });
}

function asNew(sys: Sys, object: StoredObject): StoredObject {
  const { seconds, nanoseconds } = sys.wallClock();
  return {
    ...object,
    metadata: {
      ...object.metadata,
      creationTimestamp: new Date(seconds * 1000).toISOString().replace(".000Z", "Z"),
      // A name may be used again: a revision that starts at the clock is another than all that its earlier bearers had.
      resourceVersion: (BigInt(seconds) * 1_000_000_000n + BigInt(nanoseconds)).toString(),
    },
  };
}

/** A copy stays beside when there is a replacement: were the file renamed away first, a process killed here would leave the name free. */
function setAside(
  { sys, seen }: Context,
  { kind, name, replacement }: Extract<StoreRequest, { readonly op: "set aside" }>,
): StoreReply {
  const path = pathOf(kind, name);
  const { seconds, nanoseconds } = sys.wallClock();
  let aside = `${path}.damaged-${seconds}.${nanoseconds}`;
  while (sys.stat(aside) !== undefined) aside += "+";
  seen.delete(path);
  return attempt("set aside", kind, name, () => {
    if (replacement === undefined) {
      if (sys.stat(path) !== undefined) sys.rename(path, aside);
      return { objects: [] };
    }
    const created = asNew(sys, replacement);
    if (sys.stat(path) !== undefined) sys.createFile(aside, sys.readFile(path, "refused"), fileMode);
    inDirectory(sys, kind, () =>
      sys.replaceFile(path, formatObject(created), { mode: fileMode, durable: places[kind].durable }),
    );
    return { objects: [created] };
  });
}

function updateObject(context: Context, object: StoredObject): StoreReply {
  const { kind, metadata } = object;
  if (!isCurrent(context, object)) return conflict;
  const updated = { ...object, metadata: { ...metadata, resourceVersion: nextRevision(revisionOf(metadata)) } };
  const path = pathOf(kind, metadata.name);
  attempt("write", kind, metadata.name, () =>
    context.sys.replaceFile(path, formatObject(updated), { mode: fileMode, durable: places[kind].durable }),
  );
  context.seen.delete(path);
  return { objects: [updated] };
}

function deleteObject(context: Context, object: StoredObject): StoreReply {
  const { kind, metadata } = object;
  if (!isCurrent(context, object)) return conflict;
  const path = pathOf(kind, metadata.name);
  attempt("remove", kind, metadata.name, () => context.sys.removeFile(path));
  context.seen.delete(path);
  return { objects: [] };
}

/** Whether the stored revision is the object's. A file that is the same one we read needs not be parsed again to know. */
function isCurrent(context: Context, { kind, metadata }: StoredObject): boolean {
  const path = pathOf(kind, metadata.name);
  const known = context.seen.get(path);
  const stat = attempt("read", kind, metadata.name, () => context.sys.stat(path));
  if (stat === undefined) return false;
  if (known !== undefined && sameFile(known.stat, stat)) return known.revision === revisionOf(metadata);
  const stored = readObject(context, kind, metadata.name);
  return stored !== undefined && revisionOf(stored.metadata) === revisionOf(metadata);
}

function sameFile(one: FileStat, other: FileStat): boolean {
  return one.inode === other.inode && one.modifiedMs === other.modifiedMs && one.size === other.size;
}

/** A file that a person wrote may have none. */
function revisionOf({ resourceVersion }: Metadata): string {
  return resourceVersion ?? "0";
}

function nextRevision(revision: string): string {
  return /^\d+$/.test(revision) ? (BigInt(revision) + 1n).toString() : `${revision}.1`;
}

function decodeObject(kind: Kind, path: string, text: string): StoredObject {
  const object = parseObject(text) as Partial<StoredObject> | null;
  const fault = objectFault(object, kind, path);
  if (fault !== undefined) throw new SyntaxError(fault);
  return object as StoredObject;
}

function objectFault(object: Partial<StoredObject> | null, kind: Kind, path: string): string | undefined {
  if (typeof object !== "object" || object === null) return "it is not a JSON object";
  if (object.kind !== kind) return `its kind is ${JSON.stringify(object.kind)}`;
  const name = object.metadata?.name;
  if (typeof name !== "string" || pathOf(kind, name) !== path) return `its metadata.name is ${JSON.stringify(name)}`;
  if (typeof object.spec !== "object" || object.spec === null) return "it has no spec";
  return undefined;
}

/** Names that Calico makes are file names already; of others, what a file name may not hold is percent-encoded. */
function pathOf(kind: Kind, name: string): string {
  // A listing passes over hidden files.
  const file = encodeURIComponent(name.replace(/[\ud800-\udfff]/gu, "\ufffd")).replace(/^\./, "%2E");
  const { directory } = places[kind];
  // A file name takes 255 bytes, and a temporary neighbour needs some more.
  return file.length <= 220
    ? `${directory}/${file}${suffix}`
    : `${directory}/${file.slice(0, 150)}~${sha256(name)}${suffix}`;
}

/** What a file's name says of the object's; of a name that was cut, what is left of it. */
function nameOf(file: string): string {
  const name = file.slice(0, -suffix.length);
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}

/** Runs a write, making the directory when it is missing. */
function inDirectory(sys: Sys, kind: Kind, write: () => void): void {
  try {
    write();
  } catch (error) {
    if (!isErrno(error, "ENOENT")) throw error;
    sys.makeDirs(places[kind].directory, directoryMode);
    write();
  }
}

function attempt<T>(verb: string, kind: Kind, name: string, body: () => T): T {
  try {
    return body();
  } catch (error) {
    if (!(error instanceof Error) || error instanceof CoreError) throw error;
    if (error instanceof SyntaxError) throw new DamagedError("read", { kind, name }, error.message);
    const place = name === "" ? { place: places[kind].directory } : {};
    throw new StoreError({ action: verb, object: { kind, name }, reason: error.message, cause: error, ...place });
  }
}

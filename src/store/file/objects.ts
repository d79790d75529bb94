/**
 * Objects in files, one JSON file each.
 *
 * **A file is old or new, never torn**: it is written under another name and renamed. **A write compares revisions under the lock**, so no write
 * comes in between. **A damaged object does not hide the others**: reading it fails with its name, a listing omits it, and `setAside` keeps it
 * as `<file>.damaged-<time>`, which nothing reads.
 */
import { CoreError } from "../../errors/core-error.ts";
import { nowNs } from "../../host/clock.ts";
import { type FileStat, isErrno, type Sys } from "../../host/sys.ts";
import { DamagedError } from "../damage.ts";
import { objectFault } from "../decode.ts";
import { InvalidObject } from "../invalid-object.ts";
import type { Metadata, StoredObject } from "../object.ts";
import { StoreError } from "../store-error.ts";
import { formatObject, parseObject } from "./layout.ts";
import { directoryMode, type FileKind, fileMode, nameOfFile, pathOf, places, suffix } from "./places.ts";

export type FileObject<Spec = unknown> = StoredObject<Spec, FileKind>;

/** Objects by kind and name. */
export interface Objects {
  read(kind: FileKind, name: string): FileObject | undefined;
  /** In the order of file names. Omits damaged objects, or, with `isWhole`, throws the first error. */
  list(kind: FileKind, isWhole?: boolean): readonly FileObject[];
  /** The object as stored; `undefined` if it exists already. */
  create(object: FileObject): FileObject | undefined;
  /** The object as stored; `undefined` if it was changed or removed since it was read. */
  update(object: FileObject): FileObject | undefined;
  /** Whether this call removed it. */
  remove(object: FileObject): boolean;
  setAside(kind: FileKind, name: string, replacement?: FileObject): void;
}

/** The identity of a file when it was read; a rename changes the inode. */
interface Seen {
  readonly stat: FileStat;
  readonly revision: string;
}

interface Context {
  readonly sys: Sys;
  readonly seen: Map<string, Seen>;
  /** Called for each object that a listing omits. */
  readonly onDamaged: (error: StoreError) => void;
}

/** For writes, the caller must hold the lock (`withFileStore`); reads need none. */
export function fileObjects(sys: Sys, onDamaged: (error: StoreError) => void): Objects {
  const context = { sys, onDamaged, seen: new Map<string, Seen>() };
  return {
    read: (kind, name) => readObject(context, kind, name),
    list: (kind, isWhole = false) => listObjects(context, kind, isWhole),
    create: (object) => createObject(context, object),
    update: (object) => updateObject(context, object),
    remove: (object) => removeObject(context, object),
    setAside: (kind, name, replacement) => setAside(context, kind, name, replacement),
  };
}

function readObject(context: Context, kind: FileKind, name: string): FileObject | undefined {
  return attempt("read", kind, name, () => readFile(context, kind, pathOf(kind, name)));
}

function readFile({ sys, seen }: Context, kind: FileKind, path: string): FileObject | undefined {
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

function listObjects(context: Context, kind: FileKind, isWhole: boolean): readonly FileObject[] {
  const { directory } = places[kind];
  const objects: FileObject[] = [];
  for (const file of filesIn(context.sys, kind)) {
    try {
      const object = attempt("read", kind, nameOfFile(file), () => readFile(context, kind, `${directory}/${file}`));
      if (object !== undefined) objects.push(object);
    } catch (error) {
      if (!(error instanceof StoreError) || isWhole) throw error;
      context.onDamaged(error);
    }
  }
  return objects;
}

function filesIn(sys: Sys, kind: FileKind): readonly string[] {
  const { directory } = places[kind];
  return attempt("list", kind, "", () => {
    if (sys.stat(directory) === undefined) return [];
    const files = sys.listDir(directory).filter((file) => file.endsWith(suffix) && !file.startsWith("."));
    return files.sort();
  });
}

function createObject({ sys }: Context, object: FileObject): FileObject | undefined {
  const { kind, metadata } = object;
  const path = pathOf(kind, metadata.name);
  const created = asNew(sys, object);
  return attempt("create", kind, metadata.name, () => {
    if (places[kind].durable) {
      if (sys.stat(path) !== undefined) return undefined;
      inDirectory(sys, kind, () => sys.replaceFile(path, formatObject(created), { mode: fileMode, durable: true }));
      return created;
    }
    try {
      inDirectory(sys, kind, () => sys.createFile(path, formatObject(created), fileMode));
    } catch (error) {
      if (isErrno(error, "EEXIST")) return undefined;
      throw error;
    }
    return created;
  });
}

function asNew(sys: Sys, object: FileObject): FileObject {
  return {
    ...object,
    metadata: {
      ...object.metadata,
      creationTimestamp: new Date(sys.wallClock().seconds * 1000).toISOString().replace(".000Z", "Z"),
      // A name may be reused: a revision that starts at the clock differs from those of earlier objects with that name.
      resourceVersion: nowNs(sys).toString(),
    },
  };
}

/** Copies the file if there is a replacement: a process killed after a rename would leave the name free. */
function setAside({ sys, seen }: Context, kind: FileKind, name: string, replacement: FileObject | undefined): void {
  const path = pathOf(kind, name);
  const { seconds, nanoseconds } = sys.wallClock();
  let aside = `${path}.damaged-${seconds}.${nanoseconds}`;
  while (sys.stat(aside) !== undefined) aside += "+";
  seen.delete(path);
  attempt("set aside", kind, name, () => {
    if (replacement === undefined) {
      if (sys.stat(path) !== undefined) sys.rename(path, aside);
      return;
    }
    const created = asNew(sys, replacement);
    if (sys.stat(path) !== undefined) sys.createFile(aside, sys.readFile(path, "refused"), fileMode);
    inDirectory(sys, kind, () =>
      sys.replaceFile(path, formatObject(created), { mode: fileMode, durable: places[kind].durable }),
    );
  });
}

function updateObject(context: Context, object: FileObject): FileObject | undefined {
  const { kind, metadata } = object;
  if (!isCurrent(context, object)) return undefined;
  const updated = { ...object, metadata: { ...metadata, resourceVersion: nextRevision(revisionOf(metadata)) } };
  const path = pathOf(kind, metadata.name);
  attempt("write", kind, metadata.name, () =>
    context.sys.replaceFile(path, formatObject(updated), { mode: fileMode, durable: places[kind].durable }),
  );
  context.seen.delete(path);
  return updated;
}

function removeObject(context: Context, object: FileObject): boolean {
  const { kind, metadata } = object;
  if (!isCurrent(context, object)) return false;
  const path = pathOf(kind, metadata.name);
  attempt("remove", kind, metadata.name, () => context.sys.removeFile(path));
  context.seen.delete(path);
  return true;
}

/** Whether the stored revision is the object's. An unchanged file need not be parsed again. */
function isCurrent(context: Context, { kind, metadata }: FileObject): boolean {
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

/** A file written by a person may have none. */
function revisionOf({ resourceVersion }: Metadata): string {
  return resourceVersion ?? "0";
}

function nextRevision(revision: string): string {
  return /^\d+$/.test(revision) ? (BigInt(revision) + 1n).toString() : `${revision}.1`;
}

function decodeObject(kind: FileKind, path: string, text: string): FileObject {
  const object = parseObject(text) as Partial<FileObject> | null;
  const fault = envelopeFault(object, kind, path);
  if (fault !== undefined) throw new SyntaxError(fault);
  const decoded = object as FileObject;
  const wrong = objectFault(kind, decoded);
  if (wrong !== undefined) throw new InvalidObject({ kind, name: decoded.metadata.name }, { ...wrong, path });
  return decoded;
}

function envelopeFault(object: Partial<FileObject> | null, kind: FileKind, path: string): string | undefined {
  if (typeof object !== "object" || object === null) return "it is not a JSON object";
  if (object.kind !== kind) return `its kind is ${JSON.stringify(object.kind)}`;
  const name = object.metadata?.name;
  if (typeof name !== "string" || pathOf(kind, name) !== path) return `its metadata.name is ${JSON.stringify(name)}`;
  if (typeof object.spec !== "object" || object.spec === null) return "it has no spec";
  return undefined;
}

/** Runs a write, and creates the directory if missing. */
function inDirectory(sys: Sys, kind: FileKind, write: () => void): void {
  try {
    write();
  } catch (error) {
    if (!isErrno(error, "ENOENT")) throw error;
    sys.makeDirs(places[kind].directory, directoryMode);
    write();
  }
}

function attempt<T>(verb: string, kind: FileKind, name: string, body: () => T): T {
  try {
    return body();
  } catch (error) {
    if (!(error instanceof Error) || error instanceof CoreError) throw error;
    if (error instanceof SyntaxError) throw new DamagedError("read", { kind, name }, error.message);
    const place = name === "" ? { place: places[kind].directory } : {};
    throw new StoreError({ action: verb, object: { kind, name }, reason: error.message, cause: error, ...place });
  }
}

/** A store in memory for tests: verifies every invariant, and can be killed or made to fail at any write. */
import type { BlockSpec } from "../../../src/ipam/model/block.ts";
import { blockFault } from "../../../src/ipam/model/block-fault.ts";
import { answerHint } from "../../../src/store/file/cursors.ts";
import type { FileObject, Objects } from "../../../src/store/file/objects.ts";
import type { FileKind } from "../../../src/store/file/places.ts";
import { matches } from "../../../src/store/filter.ts";
import { keyOf } from "../../../src/store/key.ts";
import type { Kind, StoredObject } from "../../../src/store/object.ts";
import { nameOf } from "../../../src/store/object-name.ts";
import { StoreError } from "../../../src/store/store-error.ts";
import type { Store, StoreReply, StoreRequest } from "../../../src/store/transaction.ts";

/** Thrown out of `drive` past every handler: the process is dead. */
export class Killed extends Error {}

export interface MemoryStore extends Store {
  readonly objects: Map<string, FileObject>;
  /** The objects that were set aside. */
  readonly aside: FileObject[];
  /** The requests since the last reset, as `op kind name`. */
  readonly log: string[];
  /** Called before each write with its number from 0; throws to kill (`Killed`) or to fail. */
  beforeWrite: (index: number) => void;
  /** Restarts: counts writes from 0 again. */
  restart(): void;
  all<Spec>(kind: FileKind): readonly StoredObject<Spec>[];
  /** Adds an object. */
  put(kind: Kind, name: string, spec: unknown): void;
}

/** `hints`: whether it keeps them, as files do, or answers nothing, as a cluster does. */
export function memoryStore({ hints = true } = {}): MemoryStore {
  let revision = 0;
  let writes = 0;
  let dead = false;
  const objects = new Map<string, FileObject>();

  /** Runs a write, unless the process is killed at it. */
  function writing<T>(op: string, kind: FileKind, name: string, body: (stored: FileObject | undefined) => T): T {
    note(`${op} ${kind} ${name}`);
    try {
      store.beforeWrite(writes++);
    } catch (error) {
      dead = error instanceof Killed;
      throw error;
    }
    return body(objects.get(`${kind}/${name}`));
  }

  function note(line: string): void {
    if (dead) throw new Killed();
    store.log.push(line);
  }

  function stored(object: FileObject, before?: FileObject): FileObject {
    if (object.kind === "IPAMBlock") judge(object.spec as BlockSpec, before?.spec as BlockSpec | undefined);
    const written = structuredClone({ ...object, metadata: { ...object.metadata, resourceVersion: `${++revision}` } });
    objects.set(`${object.kind}/${object.metadata.name}`, written);
    return structuredClone(written);
  }

  const access: Objects = {
    read(kind, name) {
      note(`read ${kind} ${name}`);
      return structuredClone(objects.get(`${kind}/${name}`));
    },
    list(kind) {
      note(`list ${kind}`);
      return structuredClone([...objects.values()].filter((object) => object.kind === kind)).sort((a, b) =>
        a.metadata.name < b.metadata.name ? -1 : 1,
      );
    },
    create: (object) =>
      writing("create", object.kind, object.metadata.name, (before) =>
        before === undefined ? stored(object) : undefined,
      ),
    update: (object) =>
      writing("update", object.kind, object.metadata.name, (before) =>
        isCurrent(object, before) ? stored(object, before) : undefined,
      ),
    remove: (object) =>
      writing("delete", object.kind, object.metadata.name, (before) => {
        if (!isCurrent(object, before)) return false;
        return objects.delete(`${object.kind}/${object.metadata.name}`);
      }),
    setAside: (kind, name, replacement) =>
      writing("set aside", kind, name, (before) => {
        if (before !== undefined) store.aside.push(before);
        objects.delete(`${kind}/${name}`);
        if (replacement !== undefined) stored(replacement);
      }),
  };

  const store: MemoryStore = {
    objects,
    aside: [],
    log: [],
    beforeWrite: () => undefined,
    restart() {
      writes = 0;
      dead = false;
      store.beforeWrite = () => undefined;
      store.log.length = 0;
    },
    all: <Spec>(kind: FileKind) =>
      [...objects.values()].filter((object) => object.kind === kind) as readonly StoredObject<Spec>[],
    put(kind, name, spec) {
      stored({ apiVersion: "v1", kind, metadata: { name }, spec });
    },
    handle: (request) => answer(access, hints, request),
  };
  return store;
}

function answer(objects: Objects, hints: boolean, request: StoreRequest): StoreReply {
  switch (request.op) {
    case "read":
      return found(objects.read(request.key.kind, nameOf(request.key)));
    case "list": {
      const all = objects.list(request.kind) as readonly StoredObject[];
      return { objects: all.filter((object) => matches(object, request.filter)) };
    }
    case "create":
    case "update": {
      requireKey(request);
      const written = request.op === "create" ? objects.create(request.object) : objects.update(request.object);
      return written === undefined ? { conflict: true } : found(written);
    }
    case "delete":
      requireKey(request);
      return objects.remove(request.object) ? found(undefined) : { conflict: true };
    case "set aside":
      objects.setAside(request.object.kind as FileKind, request.object.name, request.replacement);
      return { nothing: true };
    case "room":
    case "forget room":
    case "last pool":
      return hints ? answerHint(objects, request) : { nothing: true };
    default:
      return { nothing: true };
  }
}

/** Files identify an object by its name, other stores by its key. */
function requireKey({ key, object }: Extract<StoreRequest, { op: "create" | "update" | "delete" }>): void {
  if (nameOf(key) !== object.metadata.name || JSON.stringify(key) !== JSON.stringify(keyOf(object))) {
    throw new Error(`${JSON.stringify(key)} is not the key of ${object.kind} ${object.metadata.name}`);
  }
}

function found(object: FileObject | undefined): StoreReply {
  return { objects: object === undefined ? [] : [object as StoredObject] };
}

function isCurrent({ metadata }: FileObject, stored: FileObject | undefined): boolean {
  return stored !== undefined && stored.metadata.resourceVersion === metadata.resourceVersion;
}

/** Makes a write fail as a full disk does. */
export function diskFull(): never {
  throw new StoreError({
    action: "write",
    object: { kind: "IPAMBlock", name: "x" },
    reason: "No space left on device",
  });
}

function judge(spec: BlockSpec, before: BlockSpec | undefined): void {
  const fault = blockFault(spec);
  if (fault !== undefined) throw new Error(`block ${spec.cidr} broken: ${fault}`);
  if (before !== undefined && BigInt(spec.sequenceNumber) <= BigInt(before.sequenceNumber)) {
    throw new Error(`block ${spec.cidr}: sequence number ${spec.sequenceNumber} does not grow`);
  }
}

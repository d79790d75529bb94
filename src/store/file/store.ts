/** The embedded store: answers requests from files. For writes, the caller must hold the lock (`withFileStore`); reads need none. */
import type { Sys } from "../../host/sys.ts";
import { matches } from "../filter.ts";
import type { StoredObject } from "../object.ts";
import { nameOf } from "../object-name.ts";
import type { StoreError } from "../store-error.ts";
import type { Store, StoreReply, StoreRequest } from "../transaction.ts";
import { answerHint } from "./cursors.ts";
import { type FileObject, fileObjects, type Objects } from "./objects.ts";
import type { FileKind } from "./places.ts";
import { sweepLeftovers, testWritable } from "./upkeep.ts";

export interface FileStoreOptions {
  /** Called for each object that a listing omits. */
  readonly onDamaged?: (error: StoreError) => void;
}

const conflict: StoreReply = { conflict: true };
const nothing: StoreReply = { nothing: true };

export function fileStore(sys: Sys, { onDamaged = () => undefined }: FileStoreOptions = {}): Store {
  const objects = fileObjects(sys, onDamaged);
  return { handle: (request) => answer(sys, objects, request) };
}

function answer(sys: Sys, objects: Objects, request: StoreRequest): StoreReply {
  switch (request.op) {
    case "read":
      return found(objects.read(request.key.kind, nameOf(request.key)));
    case "list":
      return { objects: listed(objects, request) };
    case "create":
      return written(objects.create(request.object));
    case "update":
      return written(objects.update(request.object));
    case "delete":
      return objects.remove(request.object) ? found(undefined) : conflict;
    case "wait":
      // The writer holds the lock, so there are no conflicts.
      return nothing;
    case "set aside":
      objects.setAside(request.object.kind as FileKind, request.object.name, request.replacement);
      return nothing;
    case "sweep":
      sweepLeftovers(sys);
      return nothing;
    case "test":
      testWritable(sys, request.kind);
      return nothing;
    default:
      return answerHint(objects, request);
  }
}

function listed(
  objects: Objects,
  { kind, filter, isWhole }: Extract<StoreRequest, { op: "list" }>,
): readonly StoredObject[] {
  const all = objects.list(kind, isWhole) as readonly StoredObject[];
  return Object.keys(filter).length === 0 ? all : all.filter((object) => matches(object, filter));
}

function found(object: FileObject | undefined): StoreReply {
  return { objects: object === undefined ? [] : [object as StoredObject] };
}

function written(object: FileObject | undefined): StoreReply {
  return object === undefined ? conflict : found(object);
}

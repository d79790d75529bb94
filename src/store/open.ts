/** Opens the datastore that a configuration selects. */
import type { Sys } from "../host/sys.ts";
import type { Datastore, DatastoreOptions } from "./datastore.ts";
import { fileDatastore } from "./file/datastore.ts";

/** A new type does not compile until it has a driver. */
export type DatastoreType = "file";

const drivers: Readonly<Record<DatastoreType, (sys: Sys, options: DatastoreOptions) => Datastore>> = {
  file: fileDatastore,
};

/** The type that a configuration names. One that we have not is refused where a configuration is read; DEL and GC go on without. */
export function datastoreType({ datastore_type: type }: { readonly datastore_type?: unknown }): DatastoreType {
  return typeof type === "string" && Object.hasOwn(drivers, type) ? (type as DatastoreType) : "file";
}

export function openDatastore(type: DatastoreType, sys: Sys, options: DatastoreOptions = {}): Datastore {
  return drivers[type](sys, options);
}

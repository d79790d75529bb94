/** The embedded store as a datastore: holds one lock for each transaction, and repairs damage while it holds it. */
import type { Sys } from "../../host/sys.ts";
import { DamagedError } from "../damage.ts";
import type { Datastore, DatastoreOptions } from "../datastore.ts";
import { drive, type Store, type Transaction } from "../transaction.ts";
import { withFileStore } from "./lock.ts";
import { fileStore } from "./store.ts";

export function fileDatastore(sys: Sys, options: DatastoreOptions): Datastore {
  const { lockFile, lockTimeoutMs, onDamaged, repair } = options;
  const callbacks = onDamaged === undefined ? {} : { onDamaged };
  const locking = {
    ...callbacks,
    outerLock: lockFile,
    ...(lockTimeoutMs !== undefined && { timeoutMs: lockTimeoutMs }),
  };
  const exclusively = <T>(body: (store: Store) => T): T => withFileStore(sys, locking, body);
  return {
    isNodesOwn: true,
    store: fileStore(sys, callbacks),
    exclusively,
    transact: (transaction) => exclusively((store) => driveRepairing(transaction, store, repair)),
  };
}

/** Repairs each damaged object once; throws the error if that fails. */
function driveRepairing<T>(transaction: () => Transaction<T>, store: Store, repair: DatastoreOptions["repair"]): T {
  const repaired = new Set<string>();
  for (;;) {
    try {
      return drive(transaction(), store);
    } catch (error) {
      if (!(error instanceof DamagedError) || repair === undefined) throw error;
      const object = `${error.object.kind} ${error.object.name}`;
      if (repaired.has(object)) throw error;
      repaired.add(object);
      if (!drive(repair(error), store)) throw error;
    }
  }
}

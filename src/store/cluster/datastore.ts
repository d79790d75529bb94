/** A backend as a datastore: restarts a transaction after a repair, and watches until told to stop. */
import type { AsyncDatastore, AsyncDatastoreOptions, Following } from "../async-datastore.ts";
import { DamagedError } from "../damage.ts";
import { type AsyncStore, driveAsync, type Transaction } from "../transaction.ts";
import type { Backend } from "./backend.ts";
import { follow } from "./follow.ts";
import { clusterStore, persistTogether } from "./store.ts";

export const defaultTimeoutMs = 2000;
const defaultDeadlineMs = 2500;

export function clusterDatastore(backend: Backend, options: AsyncDatastoreOptions = {}): AsyncDatastore {
  const { deadlineMs = defaultDeadlineMs, onDamaged = () => undefined, repair } = options;
  const store = clusterStore(backend, { deadlineMs, onDamaged });
  const open = new Set<Following>();
  return {
    isNodesOwn: false,
    store,
    ...(backend.writeTogether && { writeTogether: persistTogether(backend, backend.writeTogether, deadlineMs) }),
    transact: (transaction) => driveRepairing(transaction, store, repair),
    follow(kind, watcher, filter = {}) {
      const following = follow(backend, { kind, filter }, watcher);
      open.add(following);
      return {
        close() {
          open.delete(following);
          following.close();
        },
      };
    },
    async visit(kind, visitor) {
      for await (const { objects, damaged } of backend.pages(kind, {})) {
        for (const error of damaged) onDamaged(error);
        for (const object of objects) visitor(object);
      }
    },
    lease: (name) => backend.lease(name),
    ...(backend.setNodeCondition && { setNodeCondition: backend.setNodeCondition }),
    ...(backend.issueKubeconfig && { issueKubeconfig: backend.issueKubeconfig }),
    close() {
      for (const following of open) following.close();
      backend.close();
    },
  };
}

/** Repairs each damaged object once; throws the error if that fails. */
async function driveRepairing<T>(
  transaction: () => Transaction<T>,
  store: AsyncStore,
  repair: AsyncDatastoreOptions["repair"],
): Promise<T> {
  const repaired = new Set<string>();
  for (;;) {
    try {
      return await driveAsync(transaction(), store);
    } catch (error) {
      if (!(error instanceof DamagedError) || repair === undefined) throw error;
      const object = `${error.object.kind} ${error.object.name}`;
      if (repaired.has(object)) throw error;
      repaired.add(object);
      if (!(await driveAsync(repair(error), store))) throw error;
    }
  }
}

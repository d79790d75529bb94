/** The store in memory as a cluster's datastore: its answers come later, and somebody else may write to it. */
import type { AsyncDatastore } from "../../../src/store/async-datastore.ts";
import { StoreError } from "../../../src/store/store-error.ts";
import { type AsyncStore, driveAsync } from "../../../src/store/transaction.ts";
import { type MemoryStore, memoryStore } from "../ipam/memory-store.ts";

export interface MemoryDatastore extends AsyncDatastore {
  readonly memory: MemoryStore;
  /** Whether it does not answer. */
  isAway: boolean;
}

export function memoryDatastore(): MemoryDatastore {
  const memory = memoryStore({ hints: false });
  const store: AsyncStore = {
    async handle(request) {
      await new Promise((resolve) => setImmediate(resolve));
      if (datastore.isAway)
        throw new StoreError({ action: "read", object: { kind: "IPPool", name: "" }, reason: "it does not answer" });
      return request.op === "wait" ? { nothing: true } : memory.handle(request);
    },
  };
  const datastore: MemoryDatastore = {
    memory,
    isAway: false,
    isNodesOwn: false,
    store,
    transact: (transaction) => driveAsync(transaction(), store),
    follow: () => {
      throw new Error("nothing is followed here");
    },
    close: () => undefined,
  };
  return datastore;
}

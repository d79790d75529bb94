/** A cluster's datastore for commands: which one calicoctl would use, and transactions over it. */
import { CoreError } from "../errors/core-error.ts";
import type { AsyncDatastore } from "../store/async-datastore.ts";
import type { StoreError } from "../store/store-error.ts";
import { driveAsync, read, type Transaction } from "../store/transaction.ts";
import type { CalicoctlSettings } from "./calicoctl-settings.ts";

export type ClusterType = CalicoctlSettings["type"];

export interface Cluster {
  readonly type: ClusterType;
  /** For people: `etcd at https://10.0.0.1:2379`. */
  readonly place: string;
  /** Runs a transaction. **Other writers do not wait**: a write that they have overtaken is a conflict. `onDamaged`: for objects that a listing omits. */
  run<T>(transaction: Transaction<T>, onDamaged: (error: StoreError) => void): Promise<T>;
  /** Ends the connections. */
  close(): Promise<void>;
}

/** Connects with the first transaction. */
export function clusterOf(settings: CalicoctlSettings): Cluster {
  let opened: Promise<AsyncDatastore> | undefined;
  let listener: (error: StoreError) => void = () => undefined;
  async function open(): Promise<AsyncDatastore> {
    // Loaded only if needed: the libraries of the two datastores take longer to load than most commands take.
    const { openClusterDatastore } = await import("../store/cluster/open.ts");
    const datastore = await openClusterDatastore(settings, { onDamaged: (error) => listener(error) });
    await requireAnswer(datastore);
    return datastore;
  }
  return {
    type: settings.type,
    place: placeOf(settings),
    async run(transaction, onDamaged) {
      listener = onDamaged;
      opened ??= open();
      return await driveAsync(transaction, (await opened).store);
    },
    async close() {
      const datastore = await opened?.catch(() => undefined);
      datastore?.close();
    },
  };
}

/** A server that does not answer is noticed sooner by a short question than by a long listing. */
async function requireAnswer({ store, close }: AsyncDatastore): Promise<void> {
  try {
    await driveAsync(read({ kind: "ClusterInformation", name: "default" }), store);
  } catch (error) {
    if (!(error instanceof CoreError) || error.kind !== "timeout") return;
    close();
    throw error;
  }
}

function placeOf(settings: CalicoctlSettings): string {
  if (settings.type === "etcdv3") return `etcd at ${settings.discoverySrv ?? settings.endpoints.join(", ")}`;
  const { server, kubeconfig } = settings;
  return `Kubernetes by ${server ?? kubeconfig ?? "the pod's service account"}`;
}

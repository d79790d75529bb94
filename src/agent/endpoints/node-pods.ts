/**
 * The pods of this node, as the API server's watch reports them: a pod's annotations arrive before its sandbox is made.
 *
 *     in memory, with the UID that the runtime says ──► answered from memory
 *     no UID, another one, no such pod ───────────────► read from the API server
 *
 * A DEL removes the record of the pod in memory if it is of the DEL's sandbox; the write compares UID and revision, and after a conflict the pod is read.
 *
 * **What is in memory is as old as the watch.** An interrupted watch empties it, so that nothing is answered that the watch may have missed.
 */
import { annotationPrefix, type Pod } from "../../identity/pod.ts";
import type { AsyncDatastore } from "../../store/async-datastore.ts";
import { type Key, keyOf } from "../../store/key.ts";
import type { StoredObject } from "../../store/object.ts";
import type { StoreError } from "../../store/store-error.ts";

interface EndpointSpec {
  readonly containerID: string;
}

export class NodePods {
  readonly #pods = new Map<string, StoredObject>();

  /** Calls `onTrouble` if pods cannot be followed, which costs a read for each ADD. */
  constructor(datastore: AsyncDatastore, node: string, onTrouble: (error: StoreError) => void) {
    const set = (pod: StoredObject) => void this.#pods.set(idOf(keyOf(pod)), withoutOthers(pod));
    datastore.follow(
      "WorkloadEndpoint",
      {
        all: (pods) => {
          this.#pods.clear();
          for (const pod of pods) set(pod);
        },
        set,
        gone: (key) => void this.#pods.delete(idOf(key)),
        trouble: (error) => {
          this.#pods.clear();
          onTrouble(error);
        },
      },
      { node },
    );
  }

  /** The pod's endpoint, with no other annotations than Calico's. `uid`: as the runtime knows it. */
  get({ namespace, name }: Pod, uid: string | undefined): StoredObject | undefined {
    const pod = this.#pods.get(`${namespace}/${name}`);
    return uid !== undefined && pod?.metadata.uid === uid ? pod : undefined;
  }

  /** The same of a pod that is recorded with this sandbox. */
  ofSandbox({ namespace, name }: Pod, containerId: string): StoredObject | undefined {
    const pod = this.#pods.get(`${namespace}/${name}`);
    return (pod?.spec as Partial<EndpointSpec> | undefined)?.containerID === containerId ? pod : undefined;
  }
}

function idOf(key: Key): string {
  return "workload" in key ? `${key.namespace}/${key.workload}` : "";
}

/** An annotation may have 256 KiB. */
function withoutOthers({ metadata, ...pod }: StoredObject): StoredObject {
  const { labels: _labels, annotations = {}, ...kept } = metadata;
  const own = Object.entries(annotations).filter(([name]) => name.startsWith(annotationPrefix));
  return { ...pod, metadata: { ...kept, annotations: Object.fromEntries(own) } };
}

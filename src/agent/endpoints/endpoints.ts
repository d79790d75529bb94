/** The operations on a cluster's endpoints and pods that plugins request. */
import { annotationPrefix, type Pod } from "../../identity/pod.ts";
import type { StoredObject } from "../../store/object.ts";
import { type AsyncStore, driveAsync, read, remove, type Transaction } from "../../store/transaction.ts";
import { withDeadline } from "../deadline.ts";
import type { Workload } from "../workload.ts";
import type { NodePods } from "./node-pods.ts";
import {
  deleteEndpoint,
  type EndpointRecord,
  keyOfPod,
  makeProfile,
  PodGone,
  putEndpoint,
  putPodEndpoint,
} from "./record.ts";

type Texts = Readonly<Record<string, string>>;

/** Annotations that a namespace sets for its pods. */
const ofNamespace = ["ipv4pools", "ipv6pools", "ipFamilies"].map((name) => annotationPrefix + name);
/** The interface whose addresses are the pod's. */
const podInterface = "eth0";
/** How long an ADD may take from its first request to its last; after that, the pod is read again. */
const memoryMs = 120_000;

interface AskedPod {
  readonly node: string;
  readonly pod: Pod;
  /** As the runtime knows it. */
  readonly uid?: string | undefined;
}

/** Each method rejects with a `CoreError`, after `ms` with `OutOfTime`. */
export class Endpoints {
  readonly #store: AsyncStore;
  readonly #isKubernetes: boolean;
  readonly #nodePods: NodePods | undefined;
  /** Pods whose ADD has begun, as they were read then. */
  readonly #pods = new Map<string, { readonly pod: StoredObject; readonly timer: NodeJS.Timeout }>();
  /** Profiles that exist, or are being created. */
  readonly #profiles = new Map<string, Promise<void>>();

  /** `nodePods`: absent in an agent that serves many nodes, which reads every pod. */
  constructor(store: AsyncStore, isKubernetes: boolean, nodePods?: NodePods) {
    this.#store = store;
    this.#isKubernetes = isKubernetes;
    this.#nodePods = nodePods;
  }

  /** Calico's annotations of a pod, and those that its namespace sets for it. Empty in etcd. */
  async annotations({ node, pod, uid }: AskedPod, ms: number): Promise<Texts> {
    if (!this.#isKubernetes) return {};
    const [object, namespace] = await Promise.all([
      this.#nodePods?.get(pod, uid) ?? this.#drive(read(keyOfPod(node, pod, podInterface)), ms),
      this.#drive(read({ kind: "Namespace", name: pod.namespace }), ms),
    ]);
    if (object === undefined) throw new PodGone(pod);
    this.#remember(pod, object);
    const { annotations = {} } = namespace?.metadata ?? {};
    const inherited = Object.entries(annotations).filter(([name]) => ofNamespace.includes(name));
    const own = Object.entries(object.metadata.annotations ?? {}).filter(([name]) => name.startsWith(annotationPrefix));
    return Object.fromEntries([...inherited, ...own]);
  }

  /** The ranges that Kubernetes gave the node for its pods; none while the node has none, and in etcd. */
  async podCidrs(node: string, ms: number): Promise<readonly string[]> {
    if (!this.#isKubernetes) return [];
    const object = await this.#drive(read({ kind: "Node", name: node }), ms);
    const { podCIDRs = [] } = (object?.status ?? {}) as { readonly podCIDRs?: readonly string[] };
    return podCIDRs;
  }

  async put(record: EndpointRecord, ms: number): Promise<void> {
    if (!this.#isKubernetes) {
      for (const name of record.profiles) await this.#ensureProfile(name, record.pod !== undefined, ms);
      await this.#drive(putEndpoint(record), ms);
    } else if (isPods(record)) {
      await this.#drive(putPodEndpoint(record, this.#recall(record.pod)), ms);
    }
  }

  async delete(workload: Workload, ms: number): Promise<void> {
    if (this.#isKubernetes && !isPods(workload)) return;
    const { pod, attachment } = workload;
    const known = pod && this.#nodePods?.ofSandbox(pod, attachment.containerId);
    if (known !== undefined && (await this.#drive(remove(known), ms))) return;
    await this.#drive(deleteEndpoint(workload), ms);
  }

  /** Looks once, however many endpoints need it. */
  async #ensureProfile(name: string, isOfPods: boolean, ms: number): Promise<void> {
    const making = this.#profiles.get(name) ?? this.#drive(makeProfile(name, isOfPods), ms);
    this.#profiles.set(name, making);
    try {
      await making;
    } catch (error) {
      this.#profiles.delete(name);
      throw error;
    }
  }

  #remember({ namespace, name }: Pod, pod: StoredObject): void {
    const id = `${namespace}/${name}`;
    clearTimeout(this.#pods.get(id)?.timer);
    const timer = setTimeout(() => this.#pods.delete(id), memoryMs).unref();
    this.#pods.set(id, { pod, timer });
  }

  #recall({ namespace, name }: Pod): StoredObject | undefined {
    const id = `${namespace}/${name}`;
    const known = this.#pods.get(id);
    clearTimeout(known?.timer);
    this.#pods.delete(id);
    return known?.pod;
  }

  #drive<T>(transaction: Transaction<T>, ms: number): Promise<T> {
    return driveAsync(transaction, withDeadline(this.#store, ms));
  }
}

/** Whether the pod's own record is that of the attachment: attachments without a pod, and other interfaces of a pod, have none. */
function isPods(workload: Workload): workload is Workload & { readonly pod: Pod } {
  return workload.pod !== undefined && workload.attachment.ifname === podInterface;
}

/** What a store holds: resources in the shape of Kubernetes', each with a revision for compare-and-swap. `key.ts` says how one is asked for. */

export type Kind =
  | "IPPool"
  | "IPReservation"
  | "IPAMConfig"
  /** What Calico's programs know of the cluster: whether its datastore may be used. */
  | "ClusterInformation"
  /** For their labels, which pools' selectors ask for. */
  | "Node"
  | "Namespace"
  | "IPAMBlock"
  | "BlockAffinity"
  | "IPAMHandle"
  /** Where a pod or container is attached. */
  | "WorkloadEndpoint"
  /** The rules of endpoints that no policy is for. */
  | "Profile";

export interface Metadata {
  readonly name: string;
  /** The revision, which means something to the store alone: it gives a new one with every write, and never one twice for one object. */
  readonly resourceVersion?: string;
  readonly creationTimestamp?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly [unknown: string]: unknown;
}

/** Keys that we do not know are kept. */
export interface StoredObject<Spec = unknown, K extends string = Kind> {
  readonly apiVersion: string;
  readonly kind: K;
  readonly metadata: Metadata;
  readonly spec: Spec;
  readonly [unknown: string]: unknown;
}

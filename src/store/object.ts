/** Stored objects: resources in the shape of Kubernetes', each with a revision for compare-and-swap. `key.ts` has their keys. */

export type Kind =
  | "IPPool"
  | "IPReservation"
  | "IPAMConfig"
  /** Information about the cluster for Calico's programs, for instance whether the datastore may be written to. */
  | "ClusterInformation"
  /** Settings of Calico's node agent. */
  | "FelixConfiguration"
  /** How nodes announce their blocks by BGP. */
  | "BGPConfiguration"
  | "BGPPeer"
  | "BGPFilter"
  /** Its labels, which the selectors of pools match, and its addresses. */
  | "Node"
  | "Namespace"
  | "IPAMBlock"
  | "BlockAffinity"
  | "IPAMHandle"
  /** Where a pod or container is attached. */
  | "WorkloadEndpoint"
  /** The rules of endpoints without policy. */
  | "Profile"
  | ServiceKind
  | ShownKind;

/** Kinds for Calico's other programs: nothing of ours follows or writes them, and no node's files have them. */
export type ShownKind =
  | "NetworkPolicy"
  | "GlobalNetworkPolicy"
  | "NetworkSet"
  | "GlobalNetworkSet"
  | "Tier"
  | "HostEndpoint"
  | "KubeControllersConfiguration"
  | "CalicoNodeStatus";

/** Kubernetes' own, only to be followed: what is behind the addresses of services. */
export type ServiceKind = "Service" | "EndpointSlice";

export interface Metadata {
  readonly name: string;
  /** The revision, opaque to all but the store: each write sets a new one, and an object never has the same one twice. */
  readonly resourceVersion?: string;
  readonly creationTimestamp?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly [unknown: string]: unknown;
}

/** Unknown keys are kept. */
export interface StoredObject<Spec = unknown, K extends string = Kind> {
  readonly apiVersion: string;
  readonly kind: K;
  readonly metadata: Metadata;
  readonly spec: Spec;
  readonly [unknown: string]: unknown;
}

/** What a store holds: resources in the shape of Kubernetes', each under its kind and name, with a revision for compare-and-swap. */

export type Kind =
  | "IPPool"
  | "IPReservation"
  | "IPAMConfig"
  /** For their labels, which pools' selectors ask for. */
  | "Node"
  | "Namespace"
  | "IPAMBlock"
  | "BlockAffinity"
  | "IPAMHandle"
  | "IPAMCursor"
  | "IPAMOpenBlock";

export interface Metadata {
  readonly name: string;
  /** The revision; the store gives it, and a new one with every write. Never used twice for one name. */
  readonly resourceVersion?: string;
  readonly creationTimestamp?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly [unknown: string]: unknown;
}

/** Keys that we do not know are kept. */
export interface StoredObject<Spec = unknown> {
  readonly apiVersion: string;
  readonly kind: Kind;
  readonly metadata: Metadata;
  readonly spec: Spec;
  readonly [unknown: string]: unknown;
}

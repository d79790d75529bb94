/** The input and the result of a check of the addresses. */
import type { Attachment } from "../../identity/attachment.ts";
import type { StoredObject } from "../../store/object.ts";
import type { ObjectRef } from "../../store/store-error.ts";
import type { Pool } from "../model/pool.ts";

/** The facts, as of one moment. */
export interface Snapshot {
  /** This node's name. */
  readonly node: string;
  /** Nanoseconds since the epoch. */
  readonly takenAt: bigint;
  readonly pools: readonly Pool[];
  /** As stored; the spec is not validated. */
  readonly blocks: readonly StoredObject[];
  readonly handles: readonly StoredObject[];
  readonly affinities: readonly StoredObject[];
  /** Objects that cannot be read or used, with the reason. */
  readonly damaged: readonly { readonly object: ObjectRef; readonly reason: string }[];
  readonly endpoints: readonly SeenEndpoint[];
  /** Every link in the node's own namespace that has an owner. */
  readonly links: readonly SeenLink[];
  /** Every address seen on an interface of a sandbox, or as the target of a host route to one. */
  readonly seen: readonly SeenAddress[];
  /** Prefixes of reservations: only the administrator knows who uses such an address outside of blocks. */
  readonly reserved?: readonly string[];
  /** Whether the node has sandboxes that are not visible from here: an address that is not seen may be in one of them. */
  readonly hasUnseen: boolean;
  /** The minimum age of an address without an endpoint that counts as leaked, in nanoseconds; a minute if absent. */
  readonly graceNs?: bigint;
  /** For a check of all nodes of a cluster, which sees their pods only by the cluster's objects; absent for a check of this node. */
  readonly cluster?: ClusterFacts;
}

export interface ClusterFacts {
  /** `<namespace>/<name>`. */
  readonly pods: ReadonlySet<string>;
  readonly nodes: ReadonlySet<string>;
  /** The number of workload endpoints. */
  readonly endpoints: number;
  /** Whether containers without a pod and further interfaces of a pod have endpoints too. */
  readonly hasEveryEndpoint: boolean;
}

/**
 * Whether a sandbox exists. `unseen`: its path is valid only in a mount namespace that this process cannot enter, so nothing is proven.
 */
export type Sandbox = "there" | "gone" | "unseen";

/** An endpoint's record, and whether its namespace exists. */
export interface SeenEndpoint {
  readonly attachment: Attachment;
  readonly pod: { readonly namespace: string; readonly name: string } | undefined;
  /** Empty if a foreign main plugin created the attachment. */
  readonly hostInterface: string;
  /** Without prefix lengths. */
  readonly addresses: readonly string[];
  readonly netns: string;
  readonly sandbox: Sandbox;
}

export interface SeenLink {
  readonly name: string;
  /** `ownerOf(attachment)`, the link's alias. */
  readonly owner: string;
}

export interface SeenAddress {
  readonly address: string;
  /** For people: `eth0 in "/run/netns/web"`, `the route to cali0123456789a`. */
  readonly where: string;
}

/** Written by `tortie ipam check -o` and read by `tortie ipam release --from-report`, together with the identity of the node and the store. */
export interface Report {
  /** By address, in ascending order. */
  readonly allocations: readonly Allocation[];
  readonly problems: readonly Problem[];
}

export interface Allocation {
  readonly address: string;
  /** The CIDR of its block. */
  readonly block: string;
  readonly handle: string;
  /** The block's sequence number at the assignment, in decimal: distinguishes it from a later allocation of the same address. */
  readonly sequenceNumber: string;
  /** The node that it was assigned on. */
  readonly node: string;
  /** For people: `default/web-0 eth0`, `vxlanTunnelAddress of node-1`. */
  readonly owner: string;
  /** `unchecked`: held by another node, for a use without a trace here, or for a sandbox that is not visible from here. */
  readonly state: "in use" | "leaked" | "unchecked";
  /** Why it is in that state. */
  readonly reason: string;
  /** Not checked because a sandbox cannot be seen from where the facts were gathered. */
  readonly isUnseen?: true | undefined;
}

export type ProblemKind =
  /** An allocation whose sandbox no longer exists. */
  | "leaked address"
  /** An address in use that no block records. */
  | "unknown address"
  | "address outside pools"
  /** A handle that names blocks but has no address in any of them. */
  | "leaked handle"
  /** A block names a handle that does not exist or does not name the block. */
  | "missing handle"
  /** A handle whose count differs from the block's. */
  | "wrong handle count"
  | "malformed block"
  /** A missing block with addresses of live endpoints. */
  | "missing block"
  /** An affinity without its block, for another node's block, or not confirmed; or a block without its affinity. */
  | "stale affinity"
  | "damaged object";

export interface Problem {
  readonly kind: ProblemKind;
  /**
   * The address, the handle's ID, the block's or affinity's name, a missing block's CIDR, or the kind and name of a damaged object. Together with
   * the kind it identifies a problem.
   */
  readonly subject: string;
  /** The damaged object. */
  readonly object?: ObjectRef | undefined;
  /** What is wrong, as the end of a sentence that begins with the subject. */
  readonly reason: string;
}

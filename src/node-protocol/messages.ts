/**
 * The protocol between plugins and the node agent, over a Unix socket: one JSON document in each direction (docs/agent.md).
 *
 *     plugin ── {"version": 1, "op": "assign", …} ⏎ ──►  tortie-node
 *            ◄── {"version": 1, "result": {…}} or {"version": 1, "error": {…}} ⏎ ──
 *
 * When no agent answers, an ADD fails; a DEL leaves `release` and `delete-endpoint` in the spool.
 *
 * **An agent and plugins of different releases may meet**: fields may be added, but no field may change its meaning. Such a change needs a new
 * version. An agent that does not know a request's version answers with the versions that it knows.
 */
import type { ErrorKind } from "../errors/core-error.ts";
import { runDir, stateDir } from "../identity/names.ts";
import type { Family } from "../net/address.ts";

export const protocolVersion = 1;

/** Never change: upgrades depend on it. */
export const defaultSocket = `${runDir}/node.sock`;
/** Messages that wait for the agent, one file each: they survive a reboot. Never change. */
export const spoolDirectory = `${stateDir}/spool`;

interface Envelope {
  readonly version: number;
  /** The node that the plugin's configuration names. */
  readonly nodename: string;
  /** How long the plugin waits. */
  readonly deadlineMs: number;
}

export interface AttachmentMessage {
  readonly network: string;
  readonly containerID: string;
  readonly ifname: string;
}

export interface PodMessage {
  readonly namespace: string;
  readonly name: string;
}

export interface WantedMessage {
  readonly family: Family;
  /** Names or CIDRs; empty: any pool for automatic assignment. */
  readonly pools: readonly string[];
}

/** Returns the addresses that the attachment holds already, or assigns new ones: all or none. */
export interface AssignMessage extends Envelope {
  readonly op: "assign";
  readonly attachment: AttachmentMessage;
  readonly pod?: PodMessage | undefined;
  /** One address from each. */
  readonly wanted: readonly WantedMessage[];
  /** Requested addresses; they replace `wanted`. */
  readonly addresses: readonly string[];
  /** Addresses that are assigned only on request. */
  readonly reserved: readonly string[];
  /** Whether the plugin asks to confirm the addresses in its `put-endpoint`: then the answer need not wait for the datastore. */
  readonly confirmsLater?: boolean | undefined;
}

/** Releases the attachment's addresses. Releasing nothing is success. */
export interface ReleaseMessage extends Envelope {
  readonly op: "release";
  readonly attachment: AttachmentMessage;
  readonly pod?: PodMessage | undefined;
}

/** The addresses that the attachment holds, for CHECK. */
export interface HeldMessage extends Envelope {
  readonly op: "held";
  readonly attachment: AttachmentMessage;
}

/** Releases all addresses that no attachment of the network on this node holds, for GC. */
export interface CollectMessage extends Envelope {
  readonly op: "collect";
  readonly network: string;
  readonly valid: readonly Omit<AttachmentMessage, "network">[];
}

/** Whether an assignment would find addresses now, for STATUS. */
export interface StatusMessage extends Envelope {
  readonly op: "status";
  readonly wanted: readonly WantedMessage[];
}

/** Reads the cluster's information about a pod, before ADD does anything else. */
export interface PodRequestMessage extends Envelope {
  readonly op: "pod";
  readonly pod: PodMessage;
  /** As the runtime knows it: a pod that the agent has in memory is this one only if its UID is the same. */
  readonly uid?: string | undefined;
}

/** Waits until each URL answers, before an ADD does anything. */
export interface GatesMessage extends Envelope {
  readonly op: "gates";
  readonly urls: readonly string[];
}

/** Reads the ranges that Kubernetes gave the node for its pods. */
export interface PodCidrsMessage extends Envelope {
  readonly op: "pod-cidrs";
}

/** Lists all pools, which say which addresses are masqueraded. */
export interface PoolsMessage extends Envelope {
  readonly op: "pools";
}

/** What is wrong with the node's network, for people. */
export interface NetworkMessage extends Envelope {
  readonly op: "network";
}

/** Records an attachment's endpoint, for programs that configure routes and policy: the last step of an ADD. */
export interface PutEndpointMessage extends Envelope {
  readonly op: "put-endpoint";
  readonly attachment: AttachmentMessage;
  readonly pod?: PodMessage | undefined;
  /** With their prefix lengths. */
  readonly addresses: readonly string[];
  readonly hostInterface: string;
  readonly mac: string;
  /** For an endpoint without Kubernetes' policy, which has profiles of its own. */
  readonly profiles: readonly string[];
  /** Recorded in etcd; in Kubernetes the pod's annotations are the record. */
  readonly ipNats?: readonly NatMessage[] | undefined;
  /** CIDRs from which the pod may send, in addition to its addresses; recorded like `ipNats`. */
  readonly allowedSources?: readonly string[] | undefined;
  /** After an `isUnconfirmed` answer: fails unless the datastore has the attachment's addresses. */
  readonly confirms?: readonly string[] | undefined;
}

/** A floating IP and the pod's address. */
export interface NatMessage {
  readonly internalIP: string;
  readonly externalIP: string;
}

/** Removes the record of this sandbox. A missing record, or one of another sandbox of the pod, is success. */
export interface DeleteEndpointMessage extends Envelope {
  readonly op: "delete-endpoint";
  readonly attachment: AttachmentMessage;
  readonly pod?: PodMessage | undefined;
}

/** What the agent knows of itself and of the node's network, for `tortie node status`. */
export interface NodeMessage extends Envelope {
  readonly op: "node";
}

export type Message =
  | AssignMessage
  | ReleaseMessage
  | HeldMessage
  | CollectMessage
  | StatusMessage
  | PodRequestMessage
  | GatesMessage
  | PodCidrsMessage
  | PoolsMessage
  | NetworkMessage
  | PutEndpointMessage
  | DeleteEndpointMessage
  | NodeMessage;

/** Messages that can wait: a plugin that cannot reach the agent leaves them in the spool. */
export type SpooledMessage = ReleaseMessage | DeleteEndpointMessage;

export interface AddressMessage {
  readonly address: string;
  /** The CIDR of its block. */
  readonly block: string;
}

export interface PoolMessage {
  readonly name: string;
  readonly cidr: string;
  readonly natOutgoing: boolean;
  readonly disabled: boolean;
}

/** How packets from pools with natOutgoing leave the node, where the cluster asks for more than to masquerade all of them. */
export interface OutgoingMessage {
  /** Canonical addresses to which pods keep their own; may be empty. Absent: none. */
  readonly exclusions?: readonly string[];
  /** The interface by which packets leave that are translated; `eth*` for all whose names begin so. Absent: any. */
  readonly interface?: string;
  /** Canonical; pods of its family leave by it. Absent: by the node's address. */
  readonly address?: string;
  /** `1024-65535`: the source ports of TCP and UDP. Absent: any. */
  readonly ports?: string;
}

export interface NodeStatusMessage {
  readonly nodename: string;
  readonly datastore: "etcdv3" | "kubernetes";
  /** Why the agent is not ready; empty: it is. */
  readonly notReady: readonly string[];
  /** Names the maker of routes to other nodes' pods; `none`: not this agent. */
  readonly networking: "none" | "vxlan" | "bird";
  /** Absent without BGP. */
  readonly bgp?: readonly BgpSessionMessage[];
}

export interface BgpSessionMessage {
  readonly peer: string;
  readonly family: Family;
  readonly type: "node-to-node mesh" | "global" | "node specific";
  /** BIRD's: `up`, `start`, `down`. */
  readonly state: string;
  readonly since: string;
  /** `Established`, or what BGP does instead, with the reason of the last failure. */
  readonly info: string;
}

export interface ResultMessage {
  /** The addresses of `assign`, `release` and `held`, and those that `collect` released. */
  readonly addresses?: readonly AddressMessage[];
  /** For `assign`: whether the attachment held no addresses before. */
  readonly isNew?: boolean;
  /** For `assign`: the datastore may not have the addresses yet. Only if `confirmsLater` was set. */
  readonly isUnconfirmed?: boolean;
  /** For `assign` and `pools`. */
  readonly pools?: readonly PoolMessage[];
  /** With `pools`. Absent: all packets from pools with natOutgoing to outside of the pools are masqueraded. */
  readonly outgoing?: OutgoingMessage;
  /** For `network`: sentences; none if every node is reached, or if the agent leaves the node's routes alone. */
  readonly troubles?: readonly string[];
  /** For `pod`: the pod's annotations over its namespace's. */
  readonly annotations?: Readonly<Record<string, string>>;
  /** For `pod-cidrs`; empty while the node has none, and in etcd. */
  readonly podCidrs?: readonly string[];
  /** For `node`. */
  readonly node?: NodeStatusMessage;
}

export interface ErrorMessage {
  /** `src/plugin/error-codes.ts` maps it to a code of CNI. */
  readonly kind: ErrorKind | "bug";
  /** The class: `NoAddressError`. */
  readonly name: string;
  readonly message: string;
}

export type Reply =
  | { readonly version: number; readonly result: ResultMessage }
  | { readonly version: number; readonly error: ErrorMessage };

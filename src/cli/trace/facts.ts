/**
 * What a packet from a pod of this node meets on its way:
 *
 *     pod eth0 ──► gateway's MAC ──► cali… ──► forward hooks ──► route ──┬─► cali… of a pod of this node
 *                                                                        ├─► tunnel: neighbour, FDB ──► underlay ──► far node
 *                                                                        └─► uplink ──► far node, or outside
 *
 * Each fact is what the kernel or the datastore says; `undefined` is what could not be read, and is never reported as well.
 */
import type { NetworkNode } from "../../cluster-network/network-node.ts";
import type { NetworkPool } from "../../cluster-network/network-pool.ts";
import type { NetworkSettings } from "../../cluster-network/network-settings.ts";
import type { Family } from "../../net/address.ts";
import type { OutgoingMessage } from "../../node-protocol/messages.ts";
import type { IpRule } from "../doctor/reach/facts.ts";
import type { BaseChain } from "../doctor/reach/filter.ts";
import type { NatTable } from "./nat-table.ts";

export interface TraceFacts {
  readonly node: string;
  readonly family: Family;
  readonly source: LocalPod;
  readonly target: Target;
  readonly sender: PodFacts;
  /** From the sender's host interface to the target. */
  readonly route: Lookup;
  /** From the target to the sender, arriving where `route` leaves. */
  readonly reply: Lookup;
  /** The interfaces of this node, by name; `undefined`: not read. */
  readonly links: ReadonlyMap<string, Link> | undefined;
  /** By path below /proc/sys. */
  readonly sysctls: ReadonlyMap<string, string>;
  readonly chains: readonly BaseChain[];
  /** Whether there may be more, which could not be read. */
  readonly hasUnreadRules: boolean;
  readonly pools: readonly NetworkPool[];
  /** The table of natOutgoing; `undefined`: not read. */
  readonly natTable: NatTable | "missing" | undefined;
  /** How packets from pools with natOutgoing leave, where the cluster asks for more than to masquerade all of them. */
  readonly outgoing: OutgoingMessage | undefined;
  /** Those of the datastore: the agent's own, which go before them, are not known here. `undefined`: not read. */
  readonly settings: NetworkSettings | undefined;
  /** The maker of routes to other nodes, by the agent's answer; `undefined`: it does not answer. */
  readonly networking: "none" | "vxlan" | "bird" | undefined;
  /** The policy rules of the family without the plugins' own; `undefined`: not read. */
  readonly rules: readonly IpRule[] | undefined;
  /** Programs that run and manage networks. */
  readonly services: readonly string[];
  /** Where the packet goes after all translation; `undefined`: any port. */
  readonly port: Port | undefined;
  /** What led from the address that was asked for to `target`. */
  readonly redirect: Redirect | undefined;
  /** This node in the cluster; `undefined`: the datastore does not know it. */
  readonly own: NetworkNode | undefined;
  readonly tunnel: Tunnel | undefined;
  /** Where the packet leaves this node, or its outer packet does; `undefined`: it stays, or the route is not known. */
  readonly uplink: Uplink | undefined;
  /** What could not be read, and why. */
  readonly unread: readonly string[];
}

export interface Port {
  readonly number: number;
  readonly protocol: "tcp" | "udp" | "sctp";
}

/** A pod of this node. */
export interface LocalPod {
  /** `default/web-0`, or the container ID. */
  readonly name: string;
  readonly address: string;
  readonly hostInterface: string;
  readonly ifname: string;
  /** The path of its namespace. */
  readonly netns: string;
}

export type Target =
  | {
      readonly kind: "local pod";
      readonly address: string;
      readonly pod: LocalPod;
      readonly receiver: PodFacts;
      /** The node's neighbour entry of the pod. */
      readonly neighbour: Entry;
    }
  /** `pod`: its name, if the allocation tells it; `owner`: the node of the block, from which `on` may have borrowed the address. */
  | {
      readonly kind: "far pod";
      readonly address: string;
      readonly pod: string | undefined;
      readonly block: string;
      readonly owner: string | undefined;
      readonly on: NetworkNode;
    }
  | { readonly kind: "this node"; readonly address: string }
  | { readonly kind: "far node"; readonly address: string; readonly on: NetworkNode }
  /** An address of a pool that no known pod has, with the block that contains it and the name of that block's node. */
  | {
      readonly kind: "unallocated";
      readonly address: string;
      readonly block: string | undefined;
      readonly on: string | undefined;
      readonly holder?: Holder;
    }
  | { readonly kind: "outside"; readonly address: string };

/** Of an allocated address without a pod that is known to have it. */
export interface Holder {
  readonly pod: string | undefined;
  readonly node: string | undefined;
}

/** What its namespace says. */
export interface PodFacts {
  /** Why its namespace could not be read, though it is there. */
  readonly unread?: string;
  /** `undefined`: there is no such interface, or no namespace. */
  readonly link: Link | undefined;
  /** To the target. */
  readonly route: Lookup;
  /** The neighbour entry of the route's gateway. */
  readonly gateway: Entry;
}

export type Lookup =
  | {
      readonly kind: "route";
      readonly dev: string;
      readonly gateway: string | undefined;
      /** The destination of the entry that matched. */
      readonly via: string | undefined;
      /** The routing table; `undefined`: main, or the kernel does not tell. */
      readonly table?: string | undefined;
      /** The protocol of the entry, which names its maker: `bird`, `80`; `undefined`: an administrator, or the kernel does not tell. */
      readonly protocol?: string | undefined;
    }
  /** `reason`: in the kernel's words; `by`: the rule or route that refuses, if it was found. */
  | { readonly kind: "refused"; readonly reason: string; readonly by?: Refuser }
  /** `reason`: why it could not be. */
  | { readonly kind: "unasked"; readonly reason?: string };

/** A policy rule or a route that refuses packets. */
export interface Refuser {
  readonly name: string;
  /** The command that deletes it; absent for the plugins' and the agent's own. */
  readonly remedy?: string;
}

/** An entry of the kernel's tables: a neighbour's MAC address, or the node's address that the FDB has for one. */
export type Entry =
  /** `state`: of a neighbour, as ip(8) prints it. */
  | { readonly kind: "found"; readonly value: string; readonly state?: string }
  /** A neighbour that was asked for, and did not answer. */
  | { readonly kind: "silent"; readonly state: string }
  | { readonly kind: "missing" }
  | { readonly kind: "unread"; readonly reason: string };

export interface Link {
  readonly name: string;
  readonly isUp: boolean;
  readonly hasCarrier: boolean;
  readonly mtu: number;
  readonly mac: string | undefined;
  readonly addresses: readonly string[];
  readonly vxlan?: VxlanLink;
}

/** Of a VXLAN device; `undefined`: the kernel does not tell, or it has none. */
export interface VxlanLink {
  readonly vni: number | undefined;
  readonly port: number | undefined;
  /** The address from which it sends. */
  readonly local: string | undefined;
  /** The interface that it is bound to. */
  readonly below: string | undefined;
}

/** Of the tunnel device by which the route leaves. */
export interface Tunnel {
  readonly kind: "vxlan" | "ipip";
  readonly device: string;
  /** Of VXLAN: the neighbour entry of the route's gateway. */
  readonly neighbour: Entry;
  /** Of VXLAN: the node's address that the FDB has for the MAC address of the neighbour entry. */
  readonly forwards: Entry;
  /** To the node at the other end. */
  readonly outer: Lookup;
  /** From the node at the other end, arriving where `outer` leaves. */
  readonly outerReply: Lookup;
}

/** An interface by which packets leave this node, and the next machine behind it. */
export interface Uplink {
  readonly dev: string;
  readonly nextHop: string;
  readonly neighbour: Entry;
}

/** A host port or a floating IP. */
export interface Redirect {
  readonly what: "host port" | "floating IP";
  /** As it was asked for: `203.0.113.1:8080`. */
  readonly asked: string;
  readonly address: string;
  /** `undefined`: it leads nowhere on this node. */
  readonly to: string | undefined;
  /** Of a floating IP, by the datastore: the pod that should have it, and its node. */
  readonly holder?: Holder;
  /** Why the rules could not be read. */
  readonly unread?: string;
}

/** One step of the way. */
export interface Hop {
  /** `pod default/web-0`, `node node-a`. */
  readonly place: string;
  readonly what: string;
  readonly text: string;
  readonly verdict: "good" | "wrong" | "unchecked";
  /** Of a step that only replies take. */
  readonly isReply?: true;
  /** Commands, for a wrong hop. */
  readonly remedy?: string;
}

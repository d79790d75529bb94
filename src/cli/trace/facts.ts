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
import type { Family } from "../../net/address.ts";
import type { BaseChain } from "../doctor/reach/filter.ts";

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
  /** The interfaces of this node, by name. */
  readonly links: ReadonlyMap<string, Link>;
  /** By path below /proc/sys. */
  readonly sysctls: ReadonlyMap<string, string>;
  readonly chains: readonly BaseChain[];
  readonly pools: readonly NetworkPool[];
  /** The table of natOutgoing as nft lists it, empty if it is missing; `undefined`: not read. */
  readonly natTable: string | undefined;
  /** This node in the cluster; `undefined`: the datastore does not know it. */
  readonly own: NetworkNode | undefined;
  readonly tunnel: Tunnel | undefined;
  /** What could not be read, and why. */
  readonly unread: readonly string[];
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
  | { readonly kind: "local pod"; readonly address: string; readonly pod: LocalPod; readonly receiver: PodFacts }
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
  readonly addresses: readonly string[];
  /** To the target. */
  readonly route: Lookup;
  /** The neighbour entry of the route's gateway. */
  readonly gatewayMac: string | undefined;
}

export type Lookup =
  | {
      readonly kind: "route";
      readonly dev: string;
      readonly gateway: string | undefined;
      readonly via: string | undefined;
    }
  /** In the kernel's words. */
  | { readonly kind: "refused"; readonly reason: string }
  | { readonly kind: "unasked" };

export interface Link {
  readonly name: string;
  readonly isUp: boolean;
  readonly hasCarrier: boolean;
  readonly mtu: number;
  readonly mac: string | undefined;
}

/** Of the tunnel device by which the route leaves. */
export interface Tunnel {
  readonly kind: "vxlan" | "ipip";
  readonly device: string;
  readonly vni: number | undefined;
  readonly port: number | undefined;
  /** The interface that VXLAN is bound to. */
  readonly below: string | undefined;
  /** The neighbour entry of the route's gateway. */
  readonly neighbourMac: string | undefined;
  /** The node's address that the FDB has for that MAC address. */
  readonly forwardsTo: string | undefined;
  /** To the node at the other end. */
  readonly outer: Lookup;
}

/** One step of the way. */
export interface Hop {
  /** `pod default/web-0`, `node node-a`. */
  readonly place: string;
  readonly what: string;
  readonly text: string;
  readonly verdict: "good" | "wrong" | "unchecked";
  /** Commands, for a wrong hop. */
  readonly remedy?: string;
}

/**
 * What decides whether packets of pods arrive at other nodes, and theirs here, beyond what the node agent itself reports.
 *
 *     pod ══cali… ──► forward hook ──► vxlan.calico ──► UDP ──► underlay ──► other node
 *         ◄────────── forward hook ◄── vxlan.calico ◄── input hook ◄── underlay ◄──┘
 */
import type { Family } from "../../../net/address.ts";

export interface TunnelFacts {
  /** The tunnel devices that are up. */
  readonly devices: readonly TunnelFact[];
  /** The MTUs of all interfaces, by name. */
  readonly mtus: ReadonlyMap<string, number>;
  readonly peers: readonly PeerFact[];
  /** Devices that NetworkManager manages, with what it says of their state. */
  readonly managed: readonly { readonly name: string; readonly state: string }[];
  /** Interfaces whose reverse path filter is strict. */
  readonly strict: readonly string[];
  /** The ranges from which kube-proxy does not masquerade connections to services. */
  readonly clusterCidrs: readonly string[];
}

export interface TunnelFact {
  readonly name: string;
  readonly kind: "vxlan" | "ipip";
  /** Of the packets inside and outside. */
  readonly family: Family;
  readonly mtu: number;
  /** Of VXLAN: this node's address, and the interface that has it. */
  readonly underlay:
    | { readonly address: string; readonly link: string; readonly mtu: number; readonly port: number }
    | undefined;
}

/** Another node, by its own address. */
export interface PeerFact {
  readonly address: string;
  /** The tunnel device that leads to it. */
  readonly device: string;
  /** The interface by which the node reaches it; `undefined`: the node has no route to it. */
  readonly link: string | undefined;
  /** Whether the underlay's interface has a route to it: VXLAN leaves by that interface, whatever other routes say. */
  readonly hasOwnRoute: boolean;
  /** Whether it answers a small packet, and one that fills the underlay's MTU; `undefined`: not asked. */
  readonly answers: { readonly small: boolean; readonly full: boolean } | undefined;
}

export const noTunnels: TunnelFacts = {
  devices: [],
  mtus: new Map(),
  peers: [],
  managed: [],
  strict: [],
  clusterCidrs: [],
};

/** The outer headers, in bytes. */
export const headerOf: Readonly<Record<TunnelFact["kind"], Readonly<Record<Family, number>>>> = {
  vxlan: { 4: 50, 6: 70 },
  ipip: { 4: 20, 6: 40 },
};

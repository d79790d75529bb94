/**
 * What a node holds for pods to reach each other across nodes, as plain readonly data: the plan of the node agent, which `tortie-net` applies.
 *
 *     resources   the objects that the kernel is to hold
 *     scopes      the sets of kernel objects that are wholly ours: members of them that no resource wants are removed
 *
 * The kernel holds no owner for routes, neighbours and FDB entries. A scope says instead by which property they are ours: a route by its protocol
 * number, and everything on a tunnel device by the device.
 */
import type { Family, TableFamily } from "../net/address.ts";
import type { NftElements, NftTable } from "./nft.ts";
import type { Blackhole, LinkAddress, Neighbour, Route, Sysctl } from "./resource.ts";

/**
 * A VXLAN device, set up, which learns no addresses: the forwarding entries are its only knowledge. It is known by its name. One that differs in
 * anything but the MTU is deleted and created again, and everything on it with it.
 */
export interface VxlanLink {
  readonly kind: "vxlan";
  readonly at: "host";
  readonly name: string;
  /** The network identifier, 24 bits. */
  readonly vni: number;
  /** The destination port, UDP. */
  readonly port: number;
  /** The node's own address, the source of the outer packets. */
  readonly local: string;
  /** The name of the link that has this address. */
  readonly device: string;
  readonly mac: string;
  readonly mtu: number;
  /**
   * `false`: the device does not promise to compute checksums of inner packets (ethtool's `tx-checksum-ip-generic`), for kernels and network
   * cards that lose packets with a checksum to be filled in. Absent: as the kernel has it.
   */
  readonly checksumOffload?: false;
}

/** The fallback device of module `ipip`, `tunl0`, set up. */
export interface IpipLink {
  readonly kind: "ipip";
  readonly at: "host";
  readonly name: string;
  readonly mtu: number;
}

/** To which node frames for a MAC address go: `bridge fdb … dst … self permanent`. */
export interface ForwardingEntry {
  readonly kind: "fdb";
  readonly at: "host";
  /** A VXLAN device. */
  readonly link: string;
  /** The other node's tunnel device. */
  readonly mac: string;
  /** The other node's address. */
  readonly destination: string;
}

/** The kinds of tunnel devices. */
export type TunnelLink = VxlanLink | IpipLink;

/** Every resource is at `host`. The elements of a set have no owner here, whatever `shared` says: the scope of the set says which are to go. */
export type NodeResource =
  | Sysctl
  | NftTable
  | NftElements
  | TunnelLink
  | LinkAddress
  | Neighbour
  | ForwardingEntry
  | Route
  | Blackhole;

export type NodeResourceKind = NodeResource["kind"];

export type NodeResourceOf<K extends NodeResourceKind> = Extract<NodeResource, { kind: K }>;

export type Scope =
  /** The routes of this protocol number in a table, of any type. */
  | { readonly kind: "routes"; readonly protocol: number; readonly table: number; readonly family: Family }
  /** On a tunnel device: routes of the main table, permanent neighbours, FDB entries, addresses that are not link-local. */
  | { readonly kind: "link"; readonly link: string }
  /** A tunnel device, if no resource has this name. The fallback device of a module cannot be deleted: it is set down. */
  | { readonly kind: "device"; readonly name: string }
  /** The elements of a set. */
  | { readonly kind: "elements"; readonly family: TableFamily; readonly table: string; readonly set: string }
  /** A table of nf_tables, if no resource has this name. */
  | { readonly kind: "table"; readonly family: TableFamily; readonly name: string };

export interface NodePlan {
  readonly resources: readonly NodeResource[];
  readonly scopes: readonly Scope[];
}

/** A tunnel device of the plan, as it is now. */
export interface TunnelState {
  readonly name: string;
  readonly index: number;
  readonly mtu: number;
  /** Absent for a device without MAC addresses. */
  readonly mac?: string;
}

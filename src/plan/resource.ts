/**
 * The objects that a plugin wants the kernel to hold, as plain readonly data.
 *
 * Addresses and prefixes are canonical text (`"169.254.1.1"`, `"10.0.0.5/32"`), MAC addresses lower case with colons.
 * `at` is the network namespace of a resource: the host's or the sandbox's.
 */
import type { Family } from "../net/address.ts";
import type { IptablesPorts } from "./iptables.ts";
import type { NftElements, NftTable } from "./nft.ts";

export type Place = "host" | "sandbox";

/**
 * A veth pair, each end created in its final namespace (moving an end later costs an RCU grace period).
 * `mtu` 0 or absent leaves the kernel's default. The alias of the host interface is the plan's owner.
 */
export interface VethPair {
  readonly kind: "veth";
  readonly host: LinkEnd;
  readonly sandbox: LinkEnd;
  readonly mtu?: number;
  /** Transmit and receive queues of both ends (IFLA_NUM_TX_QUEUES, IFLA_NUM_RX_QUEUES). */
  readonly queues?: number;
}

export interface LinkEnd {
  readonly name: string;
  /** The address to set and to read back; the kernel chooses one if absent. */
  readonly mac?: string;
}

/** An intermediate functional block device; its alias is the plan's owner. */
export interface IfbLink {
  readonly kind: "ifb";
  readonly at: Place;
  readonly name: string;
  readonly mtu?: number;
  /** In packets (IFLA_TXQLEN). */
  readonly txQueueLength?: number;
}

/** One file under /proc/sys. */
export interface Sysctl {
  readonly kind: "sysctl";
  readonly at: Place;
  /** The path below /proc/sys: `net/ipv4/conf/eth0/forwarding` (with slashes, because interface names may contain dots). */
  readonly path: string;
  readonly value: string;
  /** Continue without it if the kernel has no such file or refuses the write. */
  readonly optional?: boolean;
  /** Set once. A later plugin or an administrator may change it, so `diff` skips it. */
  readonly initial?: boolean;
  /** Written only if the value differs: the kernel acts on every write, even of the same value. */
  readonly ifDifferent?: boolean;
  /** Written last, because it opens the path that the firewall guards. */
  readonly afterFirewall?: boolean;
}

/** Sets a link up. */
export interface LinkUp {
  readonly kind: "up";
  readonly at: Place;
  readonly link: string;
  /** Writes the plan's owner as its alias, so that the owner's DEL sets it down. */
  readonly claim?: boolean;
}

export interface LinkAddress {
  readonly kind: "address";
  readonly at: Place;
  readonly link: string;
  /** With its prefix length: `"10.0.0.5/32"`. */
  readonly address: string;
  /** IFA_F_NODAD: usable at once, without duplicate address detection. */
  readonly noDad?: boolean;
  /** IFA_F_NOPREFIXROUTE: the kernel creates no route to the prefix. */
  readonly noPrefixRoute?: boolean;
}

/** A permanent neighbour entry. */
export interface Neighbour {
  readonly kind: "neighbour";
  readonly at: Place;
  readonly link: string;
  readonly address: string;
  readonly mac: string;
}

export interface Route {
  readonly kind: "route";
  readonly at: Place;
  readonly link: string;
  /** With its prefix length; `"0.0.0.0/0"` and `"::/0"` are the default routes. */
  readonly destination: string;
  readonly gateway?: string;
  /** Default: `link` without a gateway, `global` with one (IPv4; IPv6 has no scopes). */
  readonly scope?: "link" | "global" | "host" | "site" | number;
  /** Preferred source address. */
  readonly source?: string;
  /** Metric; the kernel's default (0 for IPv4, 1024 for IPv6) if absent. */
  readonly priority?: number;
  /** Default: main (254). */
  readonly table?: number;
  readonly mtu?: number;
  readonly advmss?: number;
  /** The number of the program that created it (rtm_protocol, linux/rtnetlink.h). Default: 3, `boot`, as of ip(8). */
  readonly protocol?: number;
  /** The gateway is on the link, whatever its addresses say (RTNH_F_ONLINK). */
  readonly onlink?: boolean;
  /** What to apply instead if another link has a route with the same destination, table and metric. */
  readonly instead?: readonly (Route | Rule)[];
}

/**
 * A route that drops packets to a range unless a more specific route matches. Attachments share it, so a roll-back leaves it. Another
 * program's route to the same range counts as well.
 */
export interface Blackhole {
  readonly kind: "blackhole";
  readonly at: Place;
  /** With its prefix length. */
  readonly destination: string;
  /** The number of the program that created it (rtm_protocol, linux/rtnetlink.h). */
  readonly protocol: number;
}

/** A policy routing rule: packets with a source in the prefix look up `table` first. */
export interface Rule {
  readonly kind: "rule";
  readonly at: Place;
  /** With its prefix length. */
  readonly from: string;
  readonly table: number;
  /** The rule's priority: 0 comes first (table `local`), 32766 is table `main`. */
  readonly priority: number;
}

/**
 * A policy routing rule for a range of addresses. Attachments share it, so a roll-back leaves it.
 */
export interface SharedRule {
  readonly kind: "shared-rule";
  readonly at: Place;
  readonly family: Family;
  /** With their prefix lengths. */
  readonly from: string;
  readonly to: string;
  /** Drops the packet; absent: looks up `table`. */
  readonly action?: "blackhole";
  readonly table?: number;
  /** Ignores routes of the table whose prefix length is at most this (FRA_SUPPRESS_PREFIXLEN). */
  readonly suppressPrefixLength?: number;
  readonly priority: number;
  /** The number of the program that created it (rtm_protocol, linux/rtnetlink.h). */
  readonly protocol: number;
}

/** A queueing discipline: token bucket at the root, or the ingress hook. */
export type Qdisc = TokenBucket | IngressHook;

/** `tc qdisc add dev LINK root handle 1: tbf rate … burst … limit …`. */
export interface TokenBucket {
  readonly kind: "qdisc";
  readonly at: Place;
  readonly link: string;
  readonly discipline: "tbf";
  /** Bytes per second; up to 2^53. */
  readonly rateBytes: number;
  /** Bucket size in bytes. */
  readonly burstBytes: number;
  /** Bytes that may be queued (TCA_TBF_PARMS limit, 32 bits). */
  readonly limitBytes: number;
  /** Bucket size as the kernel's ticks (TCA_TBF_PARMS buffer, 32 bits). */
  readonly bufferTicks: number;
}

export interface IngressHook {
  readonly kind: "qdisc";
  readonly at: Place;
  readonly link: string;
  readonly discipline: "ingress";
}

/** Sends all that arrives on `link` (which has the ingress hook) out of `target`: u32 match-all with mirred redirect. */
export interface Redirect {
  readonly kind: "redirect";
  readonly at: Place;
  readonly link: string;
  readonly target: string;
}

/** The kinds of links. */
export type LinkResource = VethPair | IfbLink;

export type LinkKind = LinkResource["kind"];

export type Resource =
  | LinkResource
  | Sysctl
  | LinkUp
  | LinkAddress
  | Neighbour
  | Route
  | Blackhole
  | Rule
  | SharedRule
  | Qdisc
  | Redirect
  | NftTable
  | NftElements
  | IptablesPorts;

export type ResourceKind = Resource["kind"];

export type ResourceOf<K extends ResourceKind> = Extract<Resource, { kind: K }>;

/** What one plugin wants for one attachment. The order of `resources` carries no meaning: phases do. */
export interface Plan {
  /** The alias of the links and the comment of the rules: `tortie:<network>/<containerID>/<ifname>`. */
  readonly owner: string;
  readonly resources: readonly Resource[];
}

/**
 * The order in which kinds are applied (resources of one place and phase go to the kernel in one send). Sysctls precede `up`:
 * accept_dad and others are read when a link is set up. Links come before everything else.
 */
export const phaseOf: { readonly [K in Exclude<ResourceKind, LinkKind>]: number } & {
  readonly [K in LinkKind]?: never;
} = {
  sysctl: 1,
  up: 2,
  address: 3,
  neighbour: 4,
  route: 5,
  blackhole: 5,
  rule: 6,
  "shared-rule": 6,
  qdisc: 7,
  redirect: 8,
  "nft-table": 9,
  "nft-elements": 9,
  "iptables-ports": 9,
};

/** One difference between a plan and the kernel. */
export interface Difference {
  readonly resource: Resource;
  /** `route 10.0.0.5/32 dev cali123 is missing`: follows "CHECK found: ". */
  readonly text: string;
}

/**
 * nf_tables objects as data: tables, sets and maps, chains, rules, elements.
 *
 * Text forms follow nft(8). Values in elements are canonical text per type: `"10.0.0.5"`, `"10.0.0.0/26"` (interval sets), `"tcp"`,
 * `"8080"`; a concatenated key or datum is a list with one text per field; a verdict is `"jump <chain>"`.
 *
 *     table ip tortie_portmap                      shared: NftTable, no owner
 *       map ports                                  shared: in the table's definition
 *         tcp . 8080 comment "tortie:net/c1/eth0"  owned: NftElements
 *       set owner_net/c1/eth0                      owned: written by `applyNft` from the owned elements of the plan, read by `removeNft`
 *         1 comment "ports tcp . 8080"
 */
import type { TableFamily } from "../net/address.ts";

/** Data types by nft's names. */
export type NftType = "ipv4_addr" | "ipv6_addr" | "inet_proto" | "inet_service" | "mark" | "verdict";

/**
 * A shared table without an owner: created when missing, removed by the DEL or GC that finds it unused.
 * Two resources may name the same table, each with sets and chains of its own.
 */
export interface NftTable {
  readonly kind: "nft-table";
  readonly family: TableFamily;
  readonly name: string;
  readonly sets: readonly NftSetDefinition[];
  readonly chains: readonly NftChain[];
}

/** A set (no `data`) or a map (`data`). */
export interface NftSetDefinition {
  readonly name: string;
  readonly key: readonly NftType[];
  readonly data?: readonly NftType[];
  /** Elements are prefixes (NFT_SET_INTERVAL). */
  readonly interval?: boolean;
  /**
   * The elements of this map wait for keys of map `map`. A key here is a key there plus an address, which distinguishes elements that wait for
   * the same key. When the key becomes free, the element moves. With `behind`, it follows the element with the same key in that waiting map.
   */
  readonly waitsFor?: { readonly map: string; readonly behind?: string };
  /** At most 127 bytes. */
  readonly comment?: string;
}

export interface NftChain {
  readonly name: string;
  /** Absent: a regular chain, reached by jumps. */
  readonly hook?: {
    readonly type: "nat" | "filter";
    readonly hook: "prerouting" | "input" | "forward" | "output" | "postrouting";
    readonly priority: number;
  };
  readonly rules: readonly NftRule[];
}

export interface NftRule {
  readonly statements: readonly NftStatement[];
  /** What the rule does, for people; at most 127 bytes. */
  readonly comment: string;
}

/** A field of the packet or its metadata; the names are nft's expressions. */
export type NftField =
  | "ip saddr"
  | "ip daddr"
  | "ip6 saddr"
  | "ip6 daddr"
  | "meta l4proto"
  | "th sport"
  | "th dport"
  | "iifname"
  | "oifname"
  | "meta mark"
  | "fib daddr type"
  /** The index of the interface to which the packet's source is routed, or 0 if that is not the one by which the packet came. */
  | "fib saddr . iif oif"
  | "ct status";

export type NftStatement =
  /** `ip saddr != 10.0.0.0/8`, `th dport 1000-2000`, `iifname "lo"`, `fib daddr type local`, `ct status dnat`. */
  | { readonly match: NftField; readonly op: "==" | "!="; readonly value: string }
  /** `ip saddr . ip daddr @name`. */
  | { readonly lookup: readonly NftField[]; readonly op: "==" | "!="; readonly set: string }
  /** `ip daddr . th dport vmap @name`, where the map's data is a verdict. */
  | { readonly verdictMap: readonly NftField[]; readonly map: string }
  /** `dnat to <fields> map @name`, where the map's data is address . port. */
  | { readonly dnatMap: readonly NftField[]; readonly map: string }
  /** `dnat to <fields> map @name`, or `snat`, where the map's data is an address. */
  | { readonly nat: "dnat" | "snat"; readonly addressMap: readonly NftField[]; readonly map: string }
  /** With `ports` (`1024-65535`) after a match of tcp or udp: by one of these ports. */
  | { readonly masquerade: true; readonly ports?: string }
  | { readonly snat: string; readonly ports?: string }
  | { readonly verdict: "accept" | "drop" | "return" }
  | { readonly jump: string };

/** Elements of one set, added by one attachment. */
export interface NftElements {
  readonly kind: "nft-elements";
  readonly family: TableFamily;
  readonly table: string;
  readonly set: string;
  readonly elements: readonly NftElement[];
  /** The elements are shared (a pool's prefix): one that exists already is success, and DEL leaves them. */
  readonly shared?: boolean;
  /**
   * The data is a digest of the table's other shared elements. If the kernel has another digest, those elements are outdated and the next ADD
   * rewrites them; `diff` then does not compare them, because the change does not concern the attachment.
   */
  readonly digest?: boolean;
  /**
   * The digest covers these elements too: an ADD writes them only into a table that is new or has another digest, and `diff` never compares them.
   * For sets that may have a thousand elements.
   */
  readonly onlyIfOutdated?: boolean;
  /** The first field of a key is a destination that the element translates: its flows are forgotten when the element comes, changes or goes (only in a `NodePlan`). */
  readonly forgetsFlows?: boolean;
}

export interface NftElement {
  readonly key: readonly string[];
  readonly data?: readonly string[];
}

export type NftResource = NftTable | NftElements;

/** An element of one of a table's sets. */
export interface OwnedElement {
  readonly set: string;
  readonly element: NftElement;
}

/** An element that was removed, as it was. */
export interface RemovedElement extends OwnedElement {
  readonly table: NftTable;
}

/** An element as the kernel holds it. */
export interface FoundElement {
  readonly key: readonly string[];
  /** The comment; `undefined` if the element has none. */
  readonly holder: string | undefined;
  /** The data of the key, in register bytes; `undefined` in a set, which has no data. */
  readonly data: Uint8Array | undefined;
}

/** A comment takes 128 bytes with its NUL (NFTNL_UDATA_COMMENT_MAXLEN, libnftnl 1.2). */
export const maxCommentLength = 127;

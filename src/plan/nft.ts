/**
 * nf_tables objects as data: tables, sets and maps, chains, rules, elements.
 *
 * Text forms follow nft(8). Values in elements are canonical text per type: `"10.0.0.5"`, `"10.0.0.0/26"` (interval sets), `"tcp"`,
 * `"8080"`; a concatenated key or datum is a list with one text per field.
 */
export type NftFamily = "ip" | "ip6" | "inet";

/** Data types by nft's names. */
export type NftType = "ipv4_addr" | "ipv6_addr" | "inet_proto" | "inet_service" | "ifname" | "mark";

/** A whole shared table: made when it is missing, owned by nobody, removed by whoever finds that it serves nothing any more. */
export interface NftTable {
  readonly kind: "nft-table";
  readonly family: NftFamily;
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
  readonly comment?: string;
}

/** A set of one attachment's own inside a shared table; its comment is the plan's owner. */
export interface NftSet {
  readonly kind: "nft-set";
  readonly family: NftFamily;
  readonly table: string;
  readonly set: NftSetDefinition;
}

export interface NftChain {
  readonly name: string;
  /** Absent: a regular chain, reached by jumps. */
  readonly hook?: {
    readonly type: "nat" | "filter" | "route";
    readonly hook: "prerouting" | "input" | "forward" | "output" | "postrouting";
    readonly priority: number;
  };
  readonly rules: readonly NftRule[];
}

export interface NftRule {
  readonly statements: readonly NftStatement[];
  /** What the rule is for; also how `diff` finds it. */
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
  | "ct status";

export type NftStatement =
  /** `ip saddr != 10.0.0.0/8`, `iifname "lo"`, `fib daddr type local`, `ct status dnat`, `meta mark & MASK == V` is `mask`. */
  | { readonly match: NftField; readonly op: "==" | "!="; readonly value: string; readonly mask?: number }
  /** `ip saddr . ip daddr @name`. */
  | { readonly lookup: readonly NftField[]; readonly op: "==" | "!="; readonly set: string }
  /** `dnat to <fields> map @name`, where the map's data is address . port. */
  | { readonly dnatMap: readonly NftField[]; readonly map: string }
  | { readonly masquerade: true }
  | { readonly verdict: "accept" | "drop" | "return" }
  | { readonly jump: string }
  | { readonly counter: true };

/** Elements of one set, added by one attachment. */
export interface NftElements {
  readonly kind: "nft-elements";
  readonly family: NftFamily;
  readonly table: string;
  readonly set: string;
  readonly elements: readonly NftElement[];
  /** The elements belong to everybody (a pool's prefix): that they exist already is success, and DEL leaves them. */
  readonly shared?: boolean;
}

export interface NftElement {
  readonly key: readonly string[];
  readonly data?: readonly string[];
  /** The owner, at most 128 bytes. */
  readonly comment?: string;
}

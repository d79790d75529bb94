/**
 * Filter rules of nft and of iptables in one form, and their possible effects on a packet.
 *
 * **This is not an interpreter of rules**: it understands interfaces, addresses, protocols, the connection's state, verdicts and jumps.
 * Everything else may match or not, so the result is the set of *possible* outcomes:
 *
 *     accept possible, drop not    the packet passes
 *     drop possible, accept not    the packet is lost, whatever the unknown parts do
 *     both                         unknown
 */
import type { Family } from "../../../net/address.ts";
import { hostPrefix, type Prefix, parsePrefix } from "../../../net/prefix.ts";

export type HookName = "prerouting" | "input" | "forward" | "output" | "postrouting";

/** A base chain, with all chains that it can jump to. */
export interface BaseChain {
  readonly backend: "nft" | "iptables" | "iptables-legacy";
  readonly family: "ip" | "ip6" | "inet";
  readonly table: string;
  readonly name: string;
  readonly hook: HookName;
  readonly policy: "accept" | "drop";
  /** All chains of the table, by name. */
  readonly chains: ReadonlyMap<string, readonly Rule[]>;
}

export interface Rule {
  readonly matches: readonly Match[];
  readonly verdict: Verdict;
  /** For people. */
  readonly text: string;
}

export type Match =
  | { readonly kind: "iif" | "oif"; readonly names: readonly string[]; readonly not: boolean }
  | { readonly kind: "saddr" | "daddr"; readonly prefixes: readonly Prefix[]; readonly not: boolean }
  | { readonly kind: "state" | "protocol" | "dport"; readonly values: readonly string[]; readonly not: boolean }
  | { readonly kind: "family"; readonly family: Family; readonly not: boolean }
  | { readonly kind: "unknown" };

export type Verdict =
  | { readonly kind: "accept" | "drop" | "return" | "none" | "unknown" }
  | { readonly kind: "jump" | "goto"; readonly chain: string };

export interface Packet {
  readonly family: Family;
  /** Empty: from the node itself. */
  readonly iif: string;
  /** Absent: to the node itself. */
  readonly oif: string | undefined;
  readonly saddr: Uint8Array;
  readonly daddr: Uint8Array;
  readonly protocol: "tcp" | "udp" | "sctp" | "ipip";
  /** The port that it goes to; absent: any, so that a match on it may hold or not. */
  readonly dport?: number;
  /** Its destination is the original one: it is never `dnat`. */
  readonly state: "new" | "established";
}

/** What decided on a packet: a rule, or a chain's policy. */
export interface FilterPosition {
  readonly base: BaseChain;
  readonly chain: string;
  /** Absent: the policy. */
  readonly rule: string | undefined;
}

export interface Outcome {
  readonly accept: boolean;
  readonly drop: boolean;
  /** Where it is dropped, or may be; the most certain first. */
  readonly places: readonly FilterPosition[];
}

/** Whether the chain sees packets of this family. */
export function matchesFamily({ family }: BaseChain, packet: Pick<Packet, "family">): boolean {
  return family === "inet" || (family === "ip" ? 4 : 6) === packet.family;
}

export function walk(base: BaseChain, packet: Packet): Outcome {
  const sure: FilterPosition[] = [];
  const possible: FilterPosition[] = [];
  const end = through(base, base.name, packet, { sure, possible }, 0);
  const byPolicy = end.fall && base.policy === "drop";
  if (byPolicy) (end.accept || end.drop ? possible : sure).push({ base, chain: base.name, rule: undefined });
  return {
    accept: end.accept || (end.fall && base.policy === "accept"),
    drop: end.drop || byPolicy,
    places: [...sure, ...possible],
  };
}

/** The possible outcomes in a chain; `fall`: the packet reaches the end of the chain. */
interface Ends {
  readonly accept: boolean;
  readonly drop: boolean;
  readonly fall: boolean;
}

interface Places {
  readonly sure: FilterPosition[];
  readonly possible: FilterPosition[];
}

/** The kernel allows 16 jumps. */
const maxDepth = 16;

function through(base: BaseChain, chain: string, packet: Packet, places: Places, depth: number): Ends {
  if (depth > maxDepth) return { accept: true, drop: false, fall: true };
  // `fall`: the packet may have left the chain at an earlier rule that may match.
  let [accept, drop, fall] = [false, false, false];
  for (const rule of base.chains.get(chain) ?? []) {
    const match = matches(rule, packet);
    if (match === "no") continue;
    const { verdict } = rule;
    if (verdict.kind === "none") continue;
    if (verdict.kind === "return") {
      if (match === "yes") return { accept, drop, fall: true };
      fall = true;
      continue;
    }
    const ends = endsOf(base, chain, rule, packet, places, depth, match === "yes" && !accept);
    accept ||= ends.accept;
    drop ||= ends.drop;
    // After `goto`, the packet returns to the caller of this chain.
    if (verdict.kind === "goto") fall ||= ends.fall;
    if (match === "yes" && (!ends.fall || verdict.kind === "goto")) return { accept, drop, fall };
  }
  return { accept, drop, fall: true };
}

function endsOf(
  base: BaseChain,
  chain: string,
  { verdict, text }: Rule,
  packet: Packet,
  places: Places,
  depth: number,
  certain: boolean,
): Ends {
  switch (verdict.kind) {
    case "accept":
      return { accept: true, drop: false, fall: false };
    case "drop":
      (certain ? places.sure : places.possible).push({ base, chain, rule: text });
      return { accept: false, drop: true, fall: false };
    case "jump":
    case "goto": {
      const below = certain ? places : { sure: places.possible, possible: places.possible };
      return through(base, verdict.chain, packet, below, depth + 1);
    }
    default:
      places.possible.push({ base, chain, rule: text });
      return { accept: true, drop: true, fall: true };
  }
}

type Answer = "yes" | "no" | "maybe";

/** As nft and iptables print them, and their numbers (/etc/protocols). */
const protocolNames: Readonly<Record<Packet["protocol"], readonly string[]>> = {
  tcp: ["tcp", "6"],
  udp: ["udp", "17"],
  sctp: ["sctp", "132"],
  ipip: ["ipencap", "ipip", "4"],
};

function matches(rule: Rule, packet: Packet): Answer {
  let answer: Answer = "yes";
  for (const match of rule.matches) {
    if (match.kind === "unknown" || (match.kind === "dport" && packet.dport === undefined)) answer = "maybe";
    else if (holds(match, packet) === match.not) return "no";
  }
  return answer;
}

function holds(match: Exclude<Match, { kind: "unknown" }>, packet: Packet): boolean {
  switch (match.kind) {
    case "iif":
      return match.names.some((name) => isNamed(packet.iif, name));
    case "oif":
      return packet.oif !== undefined && match.names.some((name) => isNamed(packet.oif ?? "", name));
    case "saddr":
    case "daddr":
      return match.prefixes.some((prefix) => isWithin(packet[match.kind], prefix));
    case "state":
      return match.values.includes(packet.state);
    case "protocol":
      return protocolNames[packet.protocol].some((name) => match.values.includes(name));
    case "dport":
      return match.values.includes(`${packet.dport}`);
    case "family":
      return match.family === packet.family;
  }
}

/** `cali*`, which iptables writes as `cali+`. */
function isNamed(link: string, name: string): boolean {
  return /[*+]$/.test(name) ? link.startsWith(name.slice(0, -1)) : link === name;
}

function isWithin(address: Uint8Array, { bytes, length }: Prefix): boolean {
  if (bytes.length !== address.length) return false;
  const whole = length >> 3;
  for (let index = 0; index < whole; index++) if (bytes[index] !== address[index]) return false;
  const rest = length & 7;
  return rest === 0 || (((bytes[whole] ?? 0) ^ (address[whole] ?? 0)) & (0xff00 >> rest) & 0xff) === 0;
}

type SpecificMatch = Exclude<Match, { readonly kind: "unknown" | "state" | "protocol" | "dport" | "family" }>;

/** All interfaces and addresses that the chains match on. */
export function distinguishing(chains: readonly BaseChain[]): readonly SpecificMatch[] {
  const kinds: readonly string[] = ["iif", "oif", "saddr", "daddr"];
  const tables = new Set(chains.map((base) => base.chains));
  const rules = [...tables].flatMap((table) => [...table.values()].flat());
  return rules.flatMap(({ matches: own }) => own.filter((match): match is SpecificMatch => kinds.includes(match.kind)));
}

/** Packets of one direction with equal keys get the same result. */
export function matchKey(matchers: readonly SpecificMatch[], packet: Packet): string {
  return matchers.flatMap((match, index) => (holds(match, packet) ? [index] : [])).join();
}

/** The prefix of an address or a CIDR; `undefined` for anything else, including a mask that is not contiguous. */
export function prefixIn(text: string): Prefix | undefined {
  return parsePrefix(text.includes("/") ? text : hostPrefix(text));
}

/**
 * Filter rules of nft and of iptables in one shape, and what they can do to a packet.
 *
 * **No interpreter of rules**: understood are interfaces, addresses, protocols and the connection's state, verdicts and jumps. Everything
 * else may match or not, and so the answer is what *can* become of a packet:
 *
 *     accept possible, drop not    it passes
 *     drop possible, accept not    it is lost, whatever else the rules hold
 *     both                         not known
 */
import type { Family } from "../../../net/address.ts";
import { hostPrefix, type Prefix, parsePrefix } from "../../../net/prefix.ts";

export type HookName = "prerouting" | "input" | "forward" | "postrouting";

/** A chain that packets enter by a hook, with all that it can jump to. */
export interface BaseChain {
  readonly backend: "nft" | "iptables" | "iptables-legacy";
  readonly family: "ip" | "ip6" | "inet";
  readonly table: string;
  readonly name: string;
  readonly hook: HookName;
  readonly policy: "accept" | "drop";
  /** Of the whole table, by name. */
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
  | { readonly kind: "state" | "protocol"; readonly values: readonly string[]; readonly not: boolean }
  | { readonly kind: "family"; readonly family: Family; readonly not: boolean }
  | { readonly kind: "unknown" };

export type Verdict =
  | { readonly kind: "accept" | "drop" | "return" | "none" | "unknown" }
  | { readonly kind: "jump" | "goto"; readonly chain: string };

export interface Packet {
  readonly family: Family;
  readonly iif: string;
  /** Absent: for the node itself. */
  readonly oif: string | undefined;
  readonly saddr: Uint8Array;
  readonly daddr: Uint8Array;
  readonly protocol: "tcp" | "udp";
  /** It goes where its sender wanted: it is never `dnat`. */
  readonly state: "new" | "established";
}

/** What decided about a packet: a rule, or a chain's policy. */
export interface FilterPosition {
  readonly base: BaseChain;
  readonly chain: string;
  /** Absent: the policy. */
  readonly rule: string | undefined;
}

export interface Outcome {
  readonly accept: boolean;
  readonly drop: boolean;
  /** Where it is dropped, or may be; the surest first. */
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

/** What can become of a packet in a chain; `fall`: it comes to the chain's end. */
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
  // `fall`: it may have left the chain by a rule that may match.
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
    // What was sent there by `goto` comes back to the caller of this chain.
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

function matches(rule: Rule, packet: Packet): Answer {
  let answer: Answer = "yes";
  for (const match of rule.matches) {
    if (match.kind === "unknown") answer = "maybe";
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
      return match.values.includes(packet.protocol);
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

type SpecificMatch = Exclude<Match, { readonly kind: "unknown" | "state" | "protocol" | "family" }>;

/** All that the chains tell interfaces and addresses by. */
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

/** Of an address or a prefix; `undefined` for anything else, and for a mask that is not one of leading bits. */
export function prefixIn(text: string): Prefix | undefined {
  return parsePrefix(text.includes("/") ? text : hostPrefix(text));
}

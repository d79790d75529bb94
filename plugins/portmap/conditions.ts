/**
 * `conditionsV4` and `conditionsV6` in nft's language, as statements.
 *
 *     ip saddr [!=] 192.0.2.0/24     ip6 daddr …        iifname [!=] "eth0"      oifname …
 *     tcp|udp|sctp|th sport|dport [!=] 80 | 1000-2000   meta l4proto [!=] tcp    [meta] mark [!=] 0x10
 *
 * Several matches in a row must all hold. Anything else is refused.
 */
import { CniError, code } from "../../src/cni/error.ts";
import { canonicalAddress, type TableFamily, tableFamilyOf } from "../../src/net/address.ts";
import { maskPrefix, parsePrefix } from "../../src/net/prefix.ts";
import type { NftField, NftStatement } from "../../src/plan/nft.ts";

type Match = Extract<NftStatement, { match: NftField }>;

/** As in the reference plugin: a first word that begins with `-` or `!` means iptables syntax. */
export function isIptablesStyle(conditions: readonly string[]): boolean {
  return conditions[0]?.startsWith("-") === true || conditions[0] === "!";
}

/** Throws `CniError` 2 naming the condition that is not supported. */
export function compileConditions(family: TableFamily, conditions: readonly string[]): readonly Match[] {
  const words = conditions.flatMap((text) => text.split(" ")).filter((word) => word !== "");
  const matches: Match[] = [];
  for (let at = 0; at < words.length; ) {
    const field = fieldAt(words, at);
    if (field === undefined) throw unsupported(words.slice(at).join(" "));
    const start = at;
    at += field.length;
    const negated = words[at] === "!=";
    if (negated || words[at] === "==") at++;
    const written = words[at++] ?? "";
    const value = valueIn(field.match, family, written);
    if (value === undefined) throw unsupported(words.slice(start, at).join(" "));
    if (field.protocol) matches.push({ match: "meta l4proto", op: "==", value: field.protocol });
    matches.push({ match: field.match, op: negated ? "!=" : "==", value });
  }
  return matches;
}

interface Field {
  readonly match: NftField;
  /** Number of words. */
  readonly length: number;
  /** The protocol that the match implies: `tcp dport` matches `meta l4proto tcp` as well. */
  readonly protocol?: string;
}

function fieldAt(words: readonly string[], at: number): Field | undefined {
  const first = words[at] ?? "";
  const second = words[at + 1] ?? "";
  if (first === "iifname" || first === "oifname") return { match: first, length: 1 };
  if (first === "mark") return { match: "meta mark", length: 1 };
  if (first === "meta") {
    if (second === "iifname" || second === "oifname") return { match: second, length: 2 };
    if (second === "mark" || second === "l4proto") return { match: `meta ${second}`, length: 2 };
  }
  if ((first === "ip" || first === "ip6") && (second === "saddr" || second === "daddr")) {
    return { match: `${first} ${second}`, length: 2 };
  }
  if (second !== "sport" && second !== "dport") return undefined;
  if (first === "th") return { match: `th ${second}`, length: 2 };
  if (first !== "tcp" && first !== "udp" && first !== "sctp") return undefined;
  return { match: `th ${second}`, length: 2, protocol: first };
}

/** The value in canonical text; `undefined` if it is not valid for the field. */
function valueIn(field: NftField, family: TableFamily, text: string): string | undefined {
  switch (field) {
    case "iifname":
    case "oifname": {
      const name = text.startsWith('"') && text.endsWith('"') ? text.slice(1, -1) : text;
      return name !== "" && name.length < 16 && !/["\\@{}]/.test(name) ? name : undefined;
    }
    case "meta mark":
      return /^(0x[0-9a-fA-F]{1,8}|\d{1,10})$/.test(text) && Number(text) < 2 ** 32 ? String(Number(text)) : undefined;
    case "meta l4proto":
      return text === "tcp" || text === "udp" || text === "sctp" ? text : undefined;
    case "th sport":
    case "th dport":
      return portsOf(text);
    default:
      return field.startsWith(`${family} `) ? addressOf(family, text) : undefined;
  }
}

function addressOf(family: TableFamily, text: string): string | undefined {
  const prefix = parsePrefix(text);
  const address = prefix ? (prefix.length > 0 ? maskPrefix(text) : undefined) : canonicalAddress(text);
  return address !== undefined && tableFamilyOf(address) === family ? address : undefined;
}

function portsOf(text: string): string | undefined {
  if (!/^\d{1,5}(-\d{1,5})?$/.test(text)) return undefined;
  const [first = 0, last = first] = text.split("-").map(Number);
  return first <= last && last <= 65535 ? text : undefined;
}

function unsupported(condition: string): CniError {
  return new CniError(
    code.unsupportedField,
    `cannot use condition "${condition}": not one that this version can express with nftables; use backend "iptables"`,
  );
}

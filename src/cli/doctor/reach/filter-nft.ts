/** Parses filter rules from the output of `nft -j list table` (libnftables-json(5)). */
import type { NftObject } from "../nft.ts";
import { type BaseChain, type HookName, type Match, prefixIn, type Rule, type Verdict } from "./filter.ts";

type Json = NftObject;

export interface NftChain {
  readonly family: string;
  readonly table: string;
  readonly name: string;
  readonly type?: string;
  readonly hook?: string;
  readonly policy?: string;
}

interface NftRule {
  readonly family: string;
  readonly table: string;
  readonly chain: string;
  readonly handle?: number;
  readonly comment?: string;
  readonly expr?: readonly Json[];
}

export function nftChains(objects: readonly Json[]): readonly NftChain[] {
  return objects.flatMap(({ chain }) => (chain === undefined ? [] : [chain as NftChain]));
}

const families = ["ip", "ip6", "inet"];
const hooks = ["prerouting", "input", "forward", "output", "postrouting"];

/** Whether the chain is a base chain that may drop packets. */
export function isFilter({ family, type, hook }: NftChain): boolean {
  return families.includes(family) && type === "filter" && hook !== undefined && hooks.includes(hook);
}

export function readNftChains(objects: readonly Json[]): readonly BaseChain[] {
  const all = nftChains(objects);
  const chains = new Map<string, Rule[]>(all.map((chain) => [keyOf(chain, chain.name), []]));
  for (const object of objects) {
    const rule = object.rule as NftRule | undefined;
    if (rule !== undefined) chains.get(keyOf(rule, rule.chain))?.push(...readRule(rule));
  }
  return all.filter(isFilter).map((base) => ({
    backend: "nft",
    family: base.family as BaseChain["family"],
    table: base.table,
    name: base.name,
    hook: base.hook as HookName,
    policy: base.policy === "drop" ? "drop" : "accept",
    chains: new Map(
      all
        .filter(({ family, table }) => family === base.family && table === base.table)
        .map((chain) => [chain.name, chains.get(keyOf(chain, chain.name)) ?? []]),
    ),
  }));
}

function keyOf({ family, table }: { readonly family: string; readonly table: string }, chain: string): string {
  return `${family} ${table} ${chain}`;
}

/** Statements that match every packet and continue. */
const passing = ["counter", "log", "mangle", "flow", "set", "map", "notrack", "ct helper", "ct timeout", "last"];
const verdicts: Readonly<Record<string, Verdict["kind"]>> = {
  accept: "accept",
  drop: "drop",
  reject: "drop",
  return: "return",
  continue: "none",
};

/** A verdict map becomes one rule per element. */
function readRule({ expr = [], handle, comment }: NftRule): readonly Rule[] {
  const text = `rule ${handle ?? "?"}${comment === undefined ? "" : ` (${comment})`}`;
  const matches: Match[] = [];
  for (const statement of expr) {
    const [kind = "", body] = Object.entries(statement)[0] ?? [];
    if (kind === "match") matches.push(...readMatch(body as NftMatch));
    else if (kind === "vmap") return readVmap(body as NftVmap, matches, text);
    else if (kind === "xt") {
      const { type, name } = body as { readonly type?: string; readonly name?: string };
      if (type === "target") return [{ matches, verdict: { kind: name === "REJECT" ? "drop" : "unknown" }, text }];
      if (name !== "comment") matches.push({ kind: "unknown" });
    } else if (passing.includes(kind)) continue;
    else if (kind === "limit" || kind === "quota") matches.push({ kind: "unknown" });
    else return [{ matches, verdict: verdictOf(kind, body), text }];
  }
  return [{ matches, verdict: { kind: "none" }, text }];
}

function verdictOf(kind: string, body: unknown): Verdict {
  if (kind === "jump" || kind === "goto") return { kind, chain: (body as { readonly target: string }).target };
  return { kind: (verdicts[kind] ?? "unknown") as "unknown" };
}

interface NftVmap {
  readonly key: Json;
  readonly data: unknown;
}

function readVmap({ key, data }: NftVmap, matches: readonly Match[], text: string): readonly Rule[] {
  const elements = (data as { readonly set?: readonly (readonly [unknown, Json])[] }).set;
  if (elements === undefined)
    return [{ matches: [...matches, { kind: "unknown" }], verdict: { kind: "unknown" }, text }];
  return elements.map(([value, verdict]) => {
    const [kind = "", body] = Object.entries(verdict)[0] ?? [];
    const own = readMatch({ op: "==", left: key, right: value });
    return { matches: [...matches, ...own], verdict: verdictOf(kind, body), text };
  });
}

interface NftMatch {
  readonly op: string;
  readonly left: Json;
  readonly right: unknown;
}

function readMatch({ op, left, right }: NftMatch): readonly Match[] {
  const unknown: readonly Match[] = [{ kind: "unknown" }];
  if (!["==", "!=", "in"].includes(op)) return unknown;
  const not = op === "!=";
  const values = valuesOf(right);
  const meta = (left.meta as { readonly key?: string } | undefined)?.key;
  const ct = (left.ct as { readonly key?: string } | undefined)?.key;
  const payload = left.payload as { readonly protocol?: string; readonly field?: string } | undefined;
  if (meta === "nfproto" && values !== undefined) {
    return [{ kind: "family", family: values.includes("ipv6") ? 6 : 4, not }];
  }
  if (payload !== undefined) return ofPayload(payload, values, not);
  if (values === undefined) return unknown;
  if (meta === "iifname" || meta === "iif") return [{ kind: "iif", names: values, not }];
  if (meta === "oifname" || meta === "oif") return [{ kind: "oif", names: values, not }];
  if (meta === "l4proto") return [{ kind: "protocol", values, not }];
  if (ct === "state" || isOfDnat(ct, values)) return [{ kind: "state", values, not }];
  return unknown;
}

/** DNAT counts as a state here, as in iptables; no packet of a look-up has it. */
function isOfDnat(ct: string | undefined, values: readonly string[]): boolean {
  return ct === "status" && values.join() === "dnat";
}

/** A header field implies its protocol, even if its value is not understood. */
function ofPayload(
  { protocol = "", field }: { readonly protocol?: string; readonly field?: string },
  values: readonly string[] | undefined,
  not: boolean,
): readonly Match[] {
  const unknown: Match = { kind: "unknown" };
  if (protocol === "ip" || protocol === "ip6") {
    const family: Match = { kind: "family", family: protocol === "ip" ? 4 : 6, not: false };
    if (values !== undefined && (field === "protocol" || field === "nexthdr")) {
      return [family, { kind: "protocol", values, not }];
    }
    const prefixes = values?.map(prefixIn);
    if ((field !== "saddr" && field !== "daddr") || prefixes === undefined || prefixes.includes(undefined)) {
      return [family, unknown];
    }
    return [family, { kind: field, prefixes: prefixes.filter((one) => one !== undefined), not }];
  }
  const port: Match = field === "dport" && values?.every(isNumber) ? { kind: "dport", values, not } : unknown;
  if (protocol === "th" || protocol === "") return [port];
  return [{ kind: "protocol", values: [protocol], not: false }, port];
}

function isNumber(value: string): boolean {
  return /^\d+$/.test(value);
}

/** Absent if it is not a list of plain values: a range, a named set. */
function valuesOf(right: unknown): readonly string[] | undefined {
  if (typeof right === "string") return right.startsWith("@") ? undefined : [right];
  if (typeof right === "number") return [`${right}`];
  if (Array.isArray(right)) return all(right.map(valuesOf));
  if (typeof right !== "object" || right === null) return undefined;
  const { set, prefix, elem } = right as {
    readonly set?: readonly unknown[];
    readonly prefix?: { readonly addr: string; readonly len: number };
    readonly elem?: { readonly val: unknown };
  };
  if (prefix !== undefined) return [`${prefix.addr}/${prefix.len}`];
  if (elem !== undefined) return valuesOf(elem.val);
  return set === undefined ? undefined : valuesOf(set);
}

function all(lists: readonly (readonly string[] | undefined)[]): readonly string[] | undefined {
  return lists.every((list) => list !== undefined) ? lists.flat() : undefined;
}

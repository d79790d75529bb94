/** A BGPFilter as functions of BIRD's filter language: the first rule that matches a route accepts or rejects it. */
import type { Family } from "../../net/address.ts";
import { lengthOf } from "../../net/prefix.ts";
import type { BgpFilter, BgpFilterRule, BgpOperation } from "./resources.ts";
import type { Named } from "./snapshot.ts";

export type Direction = "import" | "export";

/** BIRD's names have at most 64 characters, BGPFilters' up to 253. */
export function filterFunction(name: string, direction: Direction, family: Family): string {
  const [head, tail] = ["bgp_", `_${direction}FilterV${family}`];
  const room = 64 - head.length - tail.length;
  return `'${head}${name.length <= room ? name : shortened(name, room)}${tail}'`;
}

/** The argument says whether the peer has another AS. A route that no rule matches returns to the caller. */
export function renderFilter(
  { name, spec }: Named<BgpFilter>,
  direction: Direction,
  family: Family,
): readonly string[] {
  const rules = spec[`${direction}V${family}`];
  return [
    `function ${filterFunction(name, direction, family)}(bool is_ebgp)`,
    "{",
    ...rules.flatMap((rule) => renderRule(rule, family)),
    "}",
  ];
}

function renderRule(rule: BgpFilterRule, family: Family): readonly string[] {
  const conditions = conditionsOf(rule, family);
  const act = rule.action === "Accept" ? "accept;" : "reject;";
  const operations = rule.action === "Accept" ? rule.operations.flatMap(renderOperation) : [];
  const body = [...operations, act];
  if (conditions.length === 0) return body.map((line) => `  ${line}`);
  if (body.length === 1) return [`  if ${conditions.join(" && ")} then ${act}`];
  return [`  if ${conditions.join(" && ")} then {`, ...body.map((line) => `    ${line}`), "  }"];
}

function conditionsOf(rule: BgpFilterRule, family: Family): readonly string[] {
  const { cidr, source, interface: link, peerType, asPathPrefix = [], communities, priority } = rule;
  return [
    ...(cidr === undefined ? [] : [matchOf(rule, cidr, family)]),
    ...(source === undefined ? [] : ["source = RTS_BGP"]),
    ...(link === undefined ? [] : [`defined(ifname) && ifname ~ "${link}"`]),
    ...(peerType === undefined ? [] : [peerType === "eBGP" ? "is_ebgp" : "!is_ebgp"]),
    ...(asPathPrefix.length === 0 ? [] : [`defined(bgp_path) && bgp_path ~ [= ${asPathPrefix.join(" ")} * =]`]),
    ...(communities?.values ?? []).map((value) => `${tuple(value)} ~ ${attributeOf(value)}`),
    ...(priority === undefined ? [] : [`defined(krt_metric) && krt_metric = ${priority}`]),
  ];
}

function matchOf({ matchOperator, prefixLength }: BgpFilterRule, cidr: string, family: Family): string {
  if (matchOperator === "Equal") return `net = ${cidr}`;
  if (matchOperator === "NotEqual") return `net != ${cidr}`;
  const operator = matchOperator === "In" ? "~" : "!~";
  if (prefixLength === undefined) return `net ${operator} ${cidr}`;
  const { min = lengthOf(cidr), max = family === 4 ? 32 : 128 } = prefixLength;
  return `net ${operator} [ ${cidr}{${min},${max}} ]`;
}

function renderOperation(operation: BgpOperation): readonly string[] {
  if ("addCommunity" in operation) return [addCommunity(operation.addCommunity.value)];
  // Each is put before the path, so the last one comes first.
  if ("prependASPath" in operation)
    return [...operation.prependASPath.prefix].reverse().map((as) => `bgp_path.prepend(${as});`);
  return [`krt_metric = ${operation.setPriority.value};`];
}

export function addCommunity(value: string): string {
  return `${attributeOf(value)}.add(${tuple(value)});`;
}

/** `65000:100` gives `(65000, 100)`. */
function tuple(value: string): string {
  return `(${value.split(":").map(Number).join(", ")})`;
}

function attributeOf(value: string): string {
  return value.split(":").length === 3 ? "bgp_large_community" : "bgp_community";
}

/** Unique among names that begin alike, for the FNV-1a hash of the whole name is part of it. */
function shortened(name: string, length: number): string {
  let hash = 0x811c9dc5;
  for (const character of name) hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 0x01000193) >>> 0;
  return `${name.slice(0, length - 9)}_${hash.toString(16).padStart(8, "0")}`;
}

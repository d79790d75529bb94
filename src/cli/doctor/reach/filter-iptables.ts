/** Parses filter rules from the output of `iptables-save` and `ip6tables-save`. */
import type { TableFamily } from "../../../net/address.ts";
import { type BaseChain, type HookName, type Match, prefixIn, type Rule, type Verdict } from "./filter.ts";

const hooks: Readonly<Record<string, HookName>> = {
  PREROUTING: "prerouting",
  INPUT: "input",
  FORWARD: "forward",
  OUTPUT: "output",
  POSTROUTING: "postrouting",
};

/** The tables that filter; `nat` does not. */
const tables = ["raw", "mangle", "filter", "security"];

export function readIptablesChains(
  text: string,
  backend: "iptables" | "iptables-legacy",
  family: TableFamily,
): readonly BaseChain[] {
  return splitTables(text).flatMap(({ table, lines }) => {
    if (!tables.includes(table)) return [];
    const chains = new Map<string, Rule[]>();
    const policies = new Map<string, string>();
    for (const line of lines) {
      const [, name = "", policy = ""] = /^:(\S+) (\S+)/.exec(line) ?? [];
      if (name === "") continue;
      chains.set(name, []);
      policies.set(name, policy);
    }
    for (const line of lines) {
      const name = /^(?:\[\d+:\d+\] )?-A (\S+)/.exec(line)?.[1];
      if (name !== undefined) chains.get(name)?.push(readRule(line, chains));
    }
    return [...policies].flatMap(([name, policy]): readonly BaseChain[] => {
      const hook = hooks[name];
      if (hook === undefined || policy === "-") return [];
      return [{ backend, family, table, name, hook, policy: policy === "DROP" ? "drop" : "accept", chains }];
    });
  });
}

/** The tables in the text. */
export function tablesIn(text: string): readonly string[] {
  return splitTables(text).map(({ table }) => table);
}

function splitTables(text: string): readonly { readonly table: string; readonly lines: readonly string[] }[] {
  return text
    .split(/^\*/m)
    .slice(1)
    .map((part) => {
      const [table = "", ...lines] = part.split("\n");
      return { table, lines };
    });
}

function readRule(line: string, chains: ReadonlyMap<string, unknown>): Rule {
  const words = wordsOf(line);
  const matches: Match[] = [];
  let not = false;
  for (let at = words.indexOf("-A") + 2; at < words.length; at++) {
    const word = words[at] ?? "";
    const value = words[at + 1] ?? "";
    if (word === "-j" || word === "-g") {
      return { matches, verdict: verdictOf(value, word === "-g" ? "goto" : "jump", chains), text: line };
    }
    if (word === "!") {
      not = true;
      continue;
    }
    if (word === "-m") at++;
    else if (word === "--comment") at++;
    else {
      const match = matchOf(word, value, not);
      matches.push(match);
      if (match.kind !== "unknown") at++;
      else while (at + 1 < words.length && !/^(-|!$)/.test(words[at + 1] ?? "")) at++;
    }
    not = false;
  }
  return { matches, verdict: { kind: "none" }, text: line };
}

function matchOf(option: string, value: string, not: boolean): Match {
  switch (option) {
    case "-i":
      return { kind: "iif", names: [value], not };
    case "-o":
      return { kind: "oif", names: [value], not };
    case "-s":
    case "-d": {
      const prefix = prefixIn(value);
      if (prefix === undefined) return { kind: "unknown" };
      return { kind: option === "-s" ? "saddr" : "daddr", prefixes: [prefix], not };
    }
    case "-p":
      return { kind: "protocol", values: value === "all" ? ["tcp", "udp", "sctp", "4"] : [value], not };
    case "--dport":
      return /^\d+$/.test(value) ? { kind: "dport", values: [value], not } : { kind: "unknown" };
    case "--ctstate":
    case "--state":
      // A pod's packet that leaves the node has no DNAT; whether it will have SNAT is decided at another hook.
      if (value.includes("SNAT")) return { kind: "unknown" };
      return { kind: "state", values: value.toLowerCase().split(","), not };
    default:
      return { kind: "unknown" };
  }
}

/** Targets that do not end the traversal. */
const passing = ["LOG", "NFLOG", "MARK", "CONNMARK", "TCPMSS", "CT", "TOS", "DSCP", "CLASSIFY", "TRACE", "CHECKSUM"];

function verdictOf(target: string, by: "jump" | "goto", chains: ReadonlyMap<string, unknown>): Verdict {
  if (chains.has(target)) return { kind: by, chain: target };
  if (target === "ACCEPT") return { kind: "accept" };
  if (target === "DROP" || target === "REJECT") return { kind: "drop" };
  if (target === "RETURN") return { kind: "return" };
  return { kind: passing.includes(target) ? "none" : "unknown" };
}

function wordsOf(line: string): readonly string[] {
  return [...line.matchAll(/"((?:[^"\\]|\\.)*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? "");
}

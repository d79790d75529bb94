/**
 * Host ports in iptables: per address family one `iptables-save` to see what is there, and one `iptables-restore` that changes the tables nat and
 * raw.
 *
 * Between the two another process may change the tables, so callers take turns by a lock of theirs. What the restore does is right
 * whatever others do: it adds to shared chains what was missing, and of what is the attachment's own it first takes out what was there.
 */
import type { Sys } from "../../host/sys.ts";
import {
  addLines,
  entriesIn,
  type IptablesLayout,
  type IptablesPorts,
  isDeclared,
  type RemovedChain,
  removeLines,
  type SavedTables,
} from "../../plan/iptables.ts";
import type { NftFamily } from "../../plan/nft.ts";
import type { Difference } from "../../plan/resource.ts";
import { ConflictError, MissingError } from "../errors.ts";
import { hasNftChain } from "../nftables/has.ts";
import { type PortHolders, refuseForeign, removableChains } from "./claims.ts";
import {
  hasLegacyNat,
  type IptablesKind,
  mayHaveNatChain,
  restoreIptables,
  saveIptables,
  testIptables,
} from "./programs.ts";

/** Nobody is known to have ended: whoever has a port keeps it. */
const strangers: PortHolders = { isForeign: () => false, stateOf: () => "has it" };

/** `onNew` is told before a chain is made: whether a program that was killed had made it is not known. Returns the chains that made room. */
export function applyPorts(
  ports: IptablesPorts,
  holders: PortHolders = strangers,
  onNew: () => void,
  sys: Sys,
): readonly RemovedChain[] {
  if (ports.own.length === 0) return [];
  const { family, chain } = ports;
  const saved = savedOrFail(family, sys);
  refuseForeign(saved.nat, ports, holders);
  const stale = removableChains(saved.nat, ports, holders);
  if (!isDeclared(saved.nat, chain)) onNew();
  restoreIptables(family, addLines(ports, saved, stale), sys);
  return stale.map((one) => withRules(family, saved.nat, one));
}

/** Removes the chains of those who have ended, for ports that are to be elsewhere. Throws `IptablesConflict` when another has one. */
export function makeRoom(ports: IptablesPorts, holders: PortHolders, sys: Sys): readonly RemovedChain[] {
  const { family, layout } = ports;
  const saved = savedOrFail(family, sys);
  const stale = removableChains(saved.nat, ports, holders);
  if (stale.length > 0) restoreIptables(family, removeLines(layout, stale, saved), sys);
  return stale.map((chain) => withRules(family, saved.nat, chain));
}

export function diffPorts(ports: IptablesPorts, sys: Sys): readonly Difference[] {
  if (ports.own.length === 0) return [];
  const { nat } = savedOrFail(ports.family, sys);
  // Not the guard in the raw table: the Go plugin has none.
  const missing = [
    ...[...ports.shared, ...ports.own].filter((rule) => !nat.includes(rule)),
    ...missingEntries(ports, nat),
  ];
  return missing.map((rule) => ({ resource: ports, text: `${programOf(ports.family)} rule "${rule}" is missing` }));
}

/** What `applyPorts` would restore, as a test: the kernel is asked for every extension, and nothing changes. Not while it is seen to have worked. */
export function probePorts(ports: IptablesPorts, sys: Sys): void {
  const saved = savedOrFail(ports.family, sys);
  if (isDeclared(saved.nat, ports.layout.entryChain)) return;
  testIptables(ports.family, addLines(ports, saved, []), sys);
}

export interface PortsRemoval {
  readonly kind: "iptables-ports";
  readonly layout: IptablesLayout;
  readonly families: readonly NftFamily[];
  readonly chain: string;
  /** Whether the chain belongs to another, by what leads into it: then it stays. */
  readonly isForeign: (entry: string) => boolean;
}

/** Throws `ConflictError` where a chain is there that no program shows. */
export function removePorts(removal: PortsRemoval, sys: Sys): readonly RemovedChain[] {
  const { layout, families, chain, isForeign } = removal;
  const there = families.filter((family) => mayHaveNatChain(family, chain, sys));
  if (there.length === 0) return [];
  const seen = new Set<NftFamily>();
  const removed = removeChains(layout, there, sys, ({ nat }, family) => {
    if (!isDeclared(nat, chain)) return [];
    seen.add(family);
    const entry = entriesIn(layout, nat).find((one) => one.chain === chain)?.rule;
    return entry !== undefined && isForeign(entry) ? [] : [chain];
  });
  const hidden = there.find((family) => !seen.has(family) && hasNftChain(family, "nat", chain, sys));
  if (hidden === undefined) return removed;
  const reason = `no iptables of this node can show it ("nft list chain ${hidden} nat ${chain}"); install iptables-nft`;
  throw new ConflictError(["remove", `chain ${chain}`], reason);
}

/** Removes the chains of which `isStale` says so, by what leads into them. */
export function collectPorts(
  layout: IptablesLayout,
  isStale: (entry: string, chain: string) => boolean,
  sys: Sys,
): readonly RemovedChain[] {
  return removeChains(layout, ["ip", "ip6"], sys, ({ nat }) =>
    entriesIn(layout, nat)
      .filter(({ rule, chain }) => isStale(rule, chain))
      .map(({ chain }) => chain),
  );
}

/**
 * Removes what `choose` names; that the programs are missing means that there is nothing. Where the node has tables of both kinds, or what it
 * calls iptables is of the other kind than when the rules were made, those of the other kind too.
 */
function removeChains(
  layout: IptablesLayout,
  families: readonly NftFamily[],
  sys: Sys,
  choose: (saved: SavedTables, family: NftFamily) => readonly string[],
): readonly RemovedChain[] {
  const removeFrom = (family: NftFamily, saved: SavedTables | undefined, kind: IptablesKind) => {
    const chains = saved ? [...new Set(choose(saved, family))] : [];
    if (saved === undefined || chains.length === 0) return [];
    restoreIptables(family, removeLines(layout, chains, saved), sys, kind);
    return chains.map((chain) => withRules(family, saved.nat, chain));
  };
  return families.flatMap((family) => {
    const saved = saveIptables(family, sys);
    const isOther = saved !== undefined && !isDeclared(saved.nat, layout.entryChain);
    const others: readonly IptablesKind[] = [
      ...(isOther && hasNftChain(family, "nat", layout.entryChain, sys) ? (["-nft"] as const) : []),
      ...(hasLegacyNat(family, sys) ? (["-legacy"] as const) : []),
    ];
    return [
      ...removeFrom(family, saved, ""),
      ...others.flatMap((kind) => removeFrom(family, saveIptables(family, sys, kind), kind)),
    ];
  });
}

/** Matches before and after what an entry always has are conditions; the group in the middle is its protocol, the next its ports. */
const entryPattern =
  /^-A (\S+)( .*)? -p (\S+) -m comment --comment (?:"(?:[^"\\]|\\.)*"|\S+) -m multiport --dports (\S+)( .*)? -j (\S+)$/;

/**
 * The entries of which a port does not lead into the own chain. Not compared as texts: the Go plugin names in an entry also what is mapped in
 * the other family alone, and iptables prints conditions in words of its own.
 */
function missingEntries({ layout, chain, entries, conditional }: IptablesPorts, nat: readonly string[]) {
  const portsOf = (rule: string): readonly string[] => {
    const [, from, before, protocol, ports = "", after, target] = entryPattern.exec(rule) ?? [];
    if (from !== layout.entryChain || target !== chain || ((before || after) && !conditional)) return [];
    return ports.split(",").map((port) => `${protocol} ${port}`);
  };
  const leading = new Set(nat.flatMap(portsOf));
  return entries.filter((entry) => portsOf(entry).some((port) => !leading.has(port)));
}

function withRules(family: NftFamily, nat: readonly string[], chain: string): RemovedChain {
  return { family, chain, rules: nat.filter((rule) => rule.startsWith(`-A ${chain} `)) };
}

function savedOrFail(family: NftFamily, sys: Sys): SavedTables {
  const saved = saveIptables(family, sys);
  if (saved !== undefined) return saved;
  throw new MissingError(["map", "host ports"], `${programOf(family)} is not installed`);
}

function programOf(family: NftFamily): string {
  return family === "ip" ? "iptables" : "ip6tables";
}

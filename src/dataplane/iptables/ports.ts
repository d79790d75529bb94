/**
 * Host ports in iptables: per address family one `iptables-save` to read the rules, and one `iptables-restore` that changes the tables nat and
 * raw.
 *
 * The plugin's lock is held meanwhile, because another process could change the tables in between. Foreign changes do no harm: the restore
 * adds missing rules to shared chains, and replaces the attachment's own rules.
 */

import type { Sys } from "../../host/sys.ts";
import { type TableFamily, tableFamilies } from "../../net/address.ts";
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

/** Without knowledge of the holders, every holder keeps its ports. */
const unknownHolders: PortHolders = { isForeign: () => false, stateOf: () => "has it" };

/** Calls `onNew` before it creates a chain, because a killed program may have created it. Returns the chains removed. */
export function applyPorts(
  ports: IptablesPorts,
  holders: PortHolders = unknownHolders,
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

/** Removes chains of ended attachments, for ports that another back end will map. Throws `IptablesConflict` naming a live holder. */
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
  // Without the guard in the raw table, which the Go plugin does not create.
  const missing = [
    ...[...ports.shared, ...ports.own].filter((rule) => !nat.includes(rule)),
    ...missingEntries(ports, nat),
  ];
  return missing.map((rule) => ({ resource: ports, text: `${programOf(ports.family)} rule "${rule}" is missing` }));
}

/** Runs the restore of `applyPorts` as a test, so that the kernel loads every extension. Skipped if existing rules prove that it works. */
export function probePorts(ports: IptablesPorts, sys: Sys): void {
  const saved = savedOrFail(ports.family, sys);
  if (isDeclared(saved.nat, ports.layout.entryChain)) return;
  testIptables(ports.family, addLines(ports, saved, []), sys);
}

/** Runs a body while no other operation of ours reads or changes the tables. */
export type Locked = <T>(sys: Sys, body: () => T) => T;

export interface PortsRemoval {
  readonly kind: "iptables-ports";
  readonly layout: IptablesLayout;
  readonly families: readonly TableFamily[];
  readonly chain: string;
  /** Whether the rule that leads into the chain belongs to another attachment; the chain then stays. */
  readonly isForeign: (entry: string) => boolean;
  /** Absent if the caller holds the lock. */
  readonly locked?: Locked;
}

const byCaller: Locked = (_, body) => body();

/** Throws `ConflictError` if a chain exists that no installed program lists. */
export function removePorts(removal: PortsRemoval, sys: Sys): readonly RemovedChain[] {
  const there = removal.families.filter((family) => mayHaveNatChain(family, removal.chain, sys));
  if (there.length === 0) return [];
  return (removal.locked ?? byCaller)(sys, () => removeFrom(there, removal, sys));
}

function removeFrom(
  there: readonly TableFamily[],
  { layout, chain, isForeign }: PortsRemoval,
  sys: Sys,
): readonly RemovedChain[] {
  const seen = new Set<TableFamily>();
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

/** The attachments' own chains, of which GC removes the stale ones. */
export interface StalePorts {
  readonly kind: "iptables-ports";
  readonly layout: IptablesLayout;
  /** Gets the rule that leads into a chain: a chain's name is a digest, so only its plugin can tell the owner. */
  readonly isStale: (entry: string, chain: string) => boolean;
  readonly locked: Locked;
}

export function collectPorts({ layout, isStale, locked }: StalePorts, sys: Sys): readonly RemovedChain[] {
  if (!tableFamilies.some((family) => mayHaveNatChain(family, layout.entryChain, sys))) return [];
  return locked(sys, () =>
    removeChains(layout, tableFamilies, sys, ({ nat }) =>
      entriesIn(layout, nat)
        .filter(({ rule, chain }) => isStale(rule, chain))
        .map(({ chain }) => chain),
    ),
  );
}

/**
 * Removes the chains that `choose` returns; without the programs there is nothing to remove. Also removes from the tables of the other kind (nft or
 * legacy), because the node may use both, or may have switched since the rules were added.
 */
function removeChains(
  layout: IptablesLayout,
  families: readonly TableFamily[],
  sys: Sys,
  choose: (saved: SavedTables, family: TableFamily) => readonly string[],
): readonly RemovedChain[] {
  const removeFrom = (family: TableFamily, saved: SavedTables | undefined, kind: IptablesKind) => {
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

/** The groups: conditions, the protocol and ports that every entry of ours has, further conditions. */
const entryPattern =
  /^-A (\S+)( .*)? -p (\S+) -m comment --comment (?:"(?:[^"\\]|\\.)*"|\S+) -m multiport --dports (\S+)( .*)? -j (\S+)$/;

/**
 * The missing entries: those with a port that does not lead into the own chain. Texts cannot be compared: the Go plugin's entries also list
 * ports of the other family, and iptables prints conditions in its own format.
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

function withRules(family: TableFamily, nat: readonly string[], chain: string): RemovedChain {
  return { family, chain, rules: nat.filter((rule) => rule.startsWith(`-A ${chain} `)) };
}

function savedOrFail(family: TableFamily, sys: Sys): SavedTables {
  const saved = saveIptables(family, sys);
  if (saved !== undefined) return saved;
  throw new MissingError(["map", "host ports"], `${programOf(family)} is not installed`);
}

function programOf(family: TableFamily): string {
  return family === "ip" ? "iptables" : "ip6tables";
}

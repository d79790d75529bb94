/**
 * Host ports in iptables as data, in the format of iptables-save, and the lines of iptables-restore that add and remove them.
 *
 *     shared rules ──> entry chain ── entries, by comment and ports ──> the attachment's own chain ── own rules
 *
 * Declaring a chain flushes it, so the restore declares the attachment's own chain and only those shared chains that do not exist yet.
 */
import type { TableFamily } from "../net/address.ts";

/** What all attachments share. Persistent: upgrades use it to find what older releases made. */
export interface IptablesLayout {
  readonly entryChain: string;
  /** The name prefix of the attachments' own chains. */
  readonly ownPrefix: string;
  /** All shared chains, in the order in which they are removed. */
  readonly chains: readonly string[];
  /** The rule of the raw table that goes with the last attachment. */
  readonly guard: string;
}

/** A port of the host that an attachment claims. */
export interface PortClaim {
  readonly protocol: string;
  readonly hostPort: number;
  /** One address of the host; `undefined` means all. */
  readonly hostIp: string | undefined;
}

export interface IptablesPorts {
  readonly kind: "iptables-ports";
  readonly family: TableFamily;
  readonly layout: IptablesLayout;
  /** The shared chains that it needs. */
  readonly sharedChains: readonly string[];
  /** Rules of the nat table that all share. */
  readonly shared: readonly string[];
  /** The same, but the Go plugin has none. */
  readonly loopback: readonly string[];
  /** Rules of the raw table that all share. */
  readonly raw: readonly string[];
  readonly chain: string;
  /** The rules of the own chain, in order. */
  readonly own: readonly string[];
  /** The rules that lead into the own chain. */
  readonly entries: readonly string[];
  /** Whether entries have conditions, which iptables may print differently from how they were given. */
  readonly conditional: boolean;
  readonly claims: readonly PortClaim[];
  /** Where the ports lead. */
  readonly address: string;
}

/** Rules and chains by table, as iptables-save prints them: `:CHAIN - [0:0]` and `-A CHAIN …`. */
export interface SavedTables {
  readonly nat: readonly string[];
  readonly raw: readonly string[];
}

/** An own chain that was removed, with the rules that it had. */
export interface RemovedChain {
  readonly family: TableFamily;
  readonly chain: string;
  readonly rules: readonly string[];
}

/** The restore lines that add the ports and remove the `stale` chains. */
export function addLines(ports: IptablesPorts, saved: SavedTables, stale: readonly string[]): readonly string[] {
  const { layout, chain } = ports;
  const guard = ports.raw.filter((rule) => !saved.raw.includes(rule));
  return [
    "*nat",
    ...ports.sharedChains.filter((one) => !isDeclared(saved.nat, one)).map((one) => `:${one} - [0:0]`),
    `:${chain} - [0:0]`,
    ...[...ports.shared, ...ports.loopback]
      .filter((rule) => !saved.nat.includes(rule))
      .map((rule) => atItsPlace(layout, rule)),
    ...entryRemovals(layout, saved.nat, [chain, ...stale]),
    ...removals(stale),
    ...ports.own,
    ...ports.entries,
    "COMMIT",
    ...(guard.length > 0 ? ["*raw", ...guard, "COMMIT"] : []),
  ];
}

/** Before anything else that masquerades, and before any entry. */
function atItsPlace({ entryChain }: IptablesLayout, rule: string): string {
  for (const chain of ["POSTROUTING", entryChain]) {
    if (rule.startsWith(`-A ${chain} `)) return `-I ${chain} 1 ${rule.slice(`-A ${chain} `.length)}`;
  }
  return rule;
}

/**
 * The restore lines that remove the chains and their entries, and everything shared if no entries remain. Each table is a transaction of its
 * own, and the program may be killed between two. The chains are removed last, because the next DEL or GC finds leftovers by them.
 */
export function removeLines(layout: IptablesLayout, chains: readonly string[], saved: SavedTables): readonly string[] {
  if (entriesIn(layout, saved.nat).some(({ chain }) => !chains.includes(chain))) {
    return ["*nat", ...entryRemovals(layout, saved.nat, chains), ...removals(chains), "COMMIT"];
  }
  const shared = layout.chains.filter((chain) => isDeclared(saved.nat, chain));
  const jumps = saved.nat.filter(
    (rule) => /^-A [A-Z]+ /.test(rule) && shared.some((chain) => rule.endsWith(` -j ${chain}`)),
  );
  const guard = saved.raw.filter((rule) => rule === layout.guard);
  return [
    "*nat",
    ...jumps.map(asRemoval),
    ...(guard.length > 0 ? ["COMMIT", "*raw", ...guard.map(asRemoval), "COMMIT", "*nat"] : []),
    // Flushing the chain removes the entries: iptables 1.8.9 loses a rule's deletion if its chain is flushed in the same batch.
    ...removals([...shared, ...chains]),
    "COMMIT",
  ];
}

/** Flushes all chains before deleting any, because they jump to each other. */
function removals(chains: readonly string[]): readonly string[] {
  return [...chains.map((chain) => `-F ${chain}`), ...chains.map((chain) => `-X ${chain}`)];
}

/** The rules that lead into own chains. */
export function entriesIn(
  { entryChain, ownPrefix }: IptablesLayout,
  nat: readonly string[],
): readonly { readonly rule: string; readonly chain: string }[] {
  return nat
    .filter((rule) => rule.startsWith(`-A ${entryChain} `))
    .map((rule) => ({ rule, chain: rule.slice(rule.lastIndexOf(" -j ") + 4) }))
    .filter(({ chain }) => chain.startsWith(ownPrefix));
}

function entryRemovals(layout: IptablesLayout, nat: readonly string[], chains: readonly string[]): readonly string[] {
  return entriesIn(layout, nat)
    .filter(({ chain }) => chains.includes(chain))
    .map(({ rule }) => asRemoval(rule));
}

function asRemoval(rule: string): string {
  return `-D${rule.slice("-A".length)}`;
}

export function isDeclared(nat: readonly string[], chain: string): boolean {
  return nat.some((line) => line.startsWith(`:${chain} `));
}

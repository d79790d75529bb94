/**
 * Host ports in iptables as data, in the words in which iptables-save prints them, and the lines of iptables-restore that make and remove them.
 *
 *     shared rules ──> entry chain ── entries, by comment and ports ──> the attachment's own chain ── own rules
 *
 * A chain that is declared is flushed: so is the own one, and a shared one only while it is new.
 */
import type { NftFamily } from "./nft.ts";

/** What all attachments share. Persistent: an upgrade finds by it what an older release made. */
export interface IptablesLayout {
  readonly entryChain: string;
  /** What the names of own chains begin with. */
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
  readonly family: NftFamily;
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
  /** Whether entries have conditions, which iptables prints in words of its own. */
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
  readonly family: NftFamily;
  readonly chain: string;
  readonly rules: readonly string[];
}

/** The restore lines that make the ports, in the place of the chains that are `stale`. */
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
 * The restore lines that remove the chains, what leads into them, and all that is shared if nothing else leads anywhere. Each table is a
 * transaction of its own, and the program may be killed between two: the chains go last, as it is by them that the next DEL or GC knows
 * that something is left.
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
    // The entries go with their chain: iptables 1.8.9 forgets a rule's removal when its chain is flushed in the same batch.
    ...removals([...shared, ...chains]),
    "COMMIT",
  ];
}

/** All are emptied before any is deleted: they lead into each other. */
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

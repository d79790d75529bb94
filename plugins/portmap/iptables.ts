/**
 * The iptables back end: per address family one `iptables-save` to see what is there, and one `iptables-restore` that changes the nat and raw
 * tables. The rules are in `iptables-rules.ts`.
 *
 * Between the two another process may change the tables, so our own operations take turns by a lock. What the restore does is right
 * whatever others do: it adds to shared chains what was missing, and of what is our own it first takes out what was there.
 */

import { CniError, code } from "../../src/cni/error.ts";
import {
  hasIptables,
  hasLegacyNat,
  type IptablesFamily,
  type IptablesKind,
  mayHaveNatChain,
  restoreIptables,
  type SavedTables,
  saveIptables,
  testIptables,
} from "../../src/dataplane/iptables.ts";
import { hasNftChain } from "../../src/dataplane/nftables/has.ts";
import { CoreError } from "../../src/errors/core-error.ts";
import type { Sys } from "../../src/host/sys.ts";
import type { Attachment } from "../../src/identity/attachment.ts";
import { lengthOf } from "../../src/net/prefix.ts";
import { takeLock } from "../../src/store/file/lock.ts";
import { type Backend, describeAttachment, type Family, type FormerPort, families, type Wanted } from "./backend.ts";
import { attachmentOfRule, portmapCommentPrefix } from "./comment.ts";
import { describeHostPort, type Mapping, type PortmapConf } from "./conf.ts";
import {
  dnatChain,
  loopbackGuard,
  markChain,
  masqueradeChain,
  ownChainOf,
  ownChainPrefix,
  type Rules,
  rulesOf,
} from "./iptables-rules.ts";
import { iptablesLock } from "./names.ts";
import type { Target } from "./target.ts";

export const iptables: Backend = {
  add(wanted, sys) {
    // A chain that was there before this call has its mappings again.
    const made: Family[] = [];
    const takeBack = () => void iptables.del(wanted.attachment, made, sys);
    try {
      const former = locked(sys, () =>
        wanted.targets.flatMap((target) => addFamily(wanted, target, sys, (family) => made.push(family))),
      );
      return { former, takeBack };
    } catch (error) {
      takeBack();
      throw error;
    }
  },

  settle({ attachment, conf, targets, hasEnded }, sys) {
    return locked(sys, () =>
      targets.flatMap((target) => {
        const saved = savedOrFail(target.family, sys);
        const mappings = mappingsOf(conf, target.family);
        const stale = refuseTaken(saved.nat, { attachment, mappings, target, hasEnded });
        if (stale.length > 0) restoreIptables(target.family, removeLines(stale, saved), sys);
        return stale.flatMap((chain) => formerPorts(target.family, saved.nat, chain));
      }),
    );
  },

  check({ attachment, conf, targets }, sys) {
    return targets.flatMap((target) => {
      const rules = rulesOf(attachment, conf, target);
      if (rules.own.length === 0) return [];
      const { nat } = savedOrFail(target.family, sys);
      const program = target.family === "ip" ? "iptables" : "ip6tables";
      // Not the guard in the raw table: the Go plugin has none.
      const missing = [
        ...[...rules.shared, ...rules.own].filter((rule) => !nat.includes(rule)),
        ...missingEntries(rules, nat, conf.conditions[target.family].length > 0),
      ];
      return missing.map((rule) => ({ kind: "iptables-rule", text: `${program} rule "${rule}" is missing` }));
    });
  },

  del(attachment, among, sys) {
    const chain = ownChainOf(attachment);
    const there = among.filter((family) => mayHaveNatChain(family, chain, sys));
    if (there.length === 0) return [];
    const seen = new Set<Family>();
    const removed = removeChains(sys, there, ({ nat }, family) => {
      if (!isDeclared(nat, chain)) return [];
      seen.add(family);
      return foreignHolder(nat, chain, attachment) === undefined ? [chain] : [];
    });
    const hidden = there.find((family) => !seen.has(family) && hasNftChain(family, "nat", chain, sys));
    if (hidden === undefined) return removed;
    const reason = `no iptables of this node shows it ("nft list chain ${hidden} nat ${chain}"); install iptables-nft`;
    throw new CniError(code.refused, `cannot remove chain ${chain}: ${reason}`);
  },

  gc(network, valid, sys) {
    const kept = new Set(valid.map(ownChainOf));
    const prefix = portmapCommentPrefix(network);
    return removeChains(sys, families, ({ nat }) =>
      entriesIn(nat)
        .filter(({ rule, chain }) => rule.includes(prefix) && !kept.has(chain))
        .map(({ chain }) => chain),
    );
  },

  mayHold(attachment, sys) {
    const chain = attachment === undefined ? dnatChain : ownChainOf(attachment);
    return families.some((family) => mayHaveNatChain(family, chain, sys));
  },

  status(conf, { sys, log }) {
    const usable = families.filter((family) => hasIptables(family, sys));
    if (usable.length === 0) {
      throw new CniError(
        code.refused,
        "cannot use iptables: neither iptables nor ip6tables is installed; install iptables",
      );
    }
    for (const family of usable) {
      try {
        tryFamily(family, conf, sys);
      } catch (error) {
        if (family === "ip" || !(error instanceof CoreError)) throw error;
        log.warning("IPv6 cannot be served", () => ({ error: error.message }));
      }
    }
  },
};

/** Who is nobody. */
const example: Attachment = { network: "status", containerId: "status", ifname: "eth0" };
const examples: { readonly [family in Family]: Target } = {
  ip: { family: "ip", address: "192.0.2.1", subnet: "192.0.2.0/24" },
  ip6: { family: "ip6", address: "2001:db8::1", subnet: "2001:db8::/64" },
};

/** What an ADD would restore, as a test: the kernel is asked for every extension, and nothing changes. Not while it is seen to have worked. */
function tryFamily(family: Family, conf: PortmapConf, sys: Sys): void {
  const saved = savedOrFail(family, sys);
  if (isDeclared(saved.nat, dnatChain)) return;
  const port = { hostPort: 1, containerPort: 1, hostIp: undefined, families };
  const mappings = (["tcp", "udp"] as const).map((protocol) => ({ ...port, protocol }));
  const rules = rulesOf(example, { ...conf, mappings }, examples[family]);
  testIptables(family, addLines(rules, saved, []), sys);
}

/** `onNew` is told before the chain is made: whether a program that was killed had made it is not known. */
function addFamily(
  { attachment, conf, hasEnded }: Wanted,
  target: Target,
  sys: Sys,
  onNew: (family: Family) => void,
): readonly FormerPort[] {
  const rules = rulesOf(attachment, conf, target);
  if (rules.own.length === 0) return [];
  const saved = savedOrFail(target.family, sys);
  const holder = foreignHolder(saved.nat, rules.chain, attachment);
  if (holder !== undefined) {
    const reason = `chain ${rules.chain}, of their digest, is that of ${describeAttachment(holder)}`;
    throw new CniError(code.refused, `cannot map host ports: ${reason}`);
  }
  const mappings = mappingsOf(conf, target.family);
  const stale = refuseTaken(saved.nat, { attachment, mappings, target, hasEnded });
  if (!isDeclared(saved.nat, rules.chain)) onNew(target.family);
  restoreIptables(target.family, addLines(rules, saved, stale), sys);
  return stale.flatMap((chain) => formerPorts(target.family, saved.nat, chain));
}

function mappingsOf({ mappings }: Wanted["conf"], family: Family): readonly Mapping[] {
  return mappings.filter(({ families }) => families.includes(family));
}

/** The restore lines of an ADD. A chain that is declared is flushed: so is the own one, and a shared one only while it is new. */
export function addLines(rules: Rules, saved: SavedTables, stale: readonly string[]): readonly string[] {
  const has = (chain: string): boolean => saved.nat.some((line) => line.startsWith(`:${chain} `));
  const guard = rules.raw.filter((rule) => !saved.raw.includes(rule));
  return [
    "*nat",
    ...rules.sharedChains.filter((chain) => !has(chain)).map((chain) => `:${chain} - [0:0]`),
    `:${rules.chain} - [0:0]`,
    ...[...rules.shared, ...rules.loopback].filter((rule) => !saved.nat.includes(rule)).map(atItsPlace),
    ...entryRemovals(saved.nat, [rules.chain, ...stale]),
    ...removals(stale),
    ...rules.own,
    ...rules.entries,
    "COMMIT",
    ...(guard.length > 0 ? ["*raw", ...guard, "COMMIT"] : []),
  ];
}

/** Before anything else that masquerades, and before any entry. */
function atItsPlace(rule: string): string {
  return rule.replace(/^-A (POSTROUTING|CNI-HOSTPORT-DNAT) /, "-I $1 1 ");
}

/**
 * The restore lines of a DEL: the chains, what leads into them, and all that is shared if nothing else leads anywhere. Each table is a
 * transaction of its own, and the program may be killed between two: the chains go last, as it is by them that the next DEL or GC knows
 * that something is left.
 */
export function removeLines(chains: readonly string[], saved: SavedTables): readonly string[] {
  if (entriesIn(saved.nat).some(({ chain }) => !chains.includes(chain))) {
    return ["*nat", ...entryRemovals(saved.nat, chains), ...removals(chains), "COMMIT"];
  }
  const shared = [dnatChain, masqueradeChain, markChain].filter((chain) => isDeclared(saved.nat, chain));
  const jumps = saved.nat.filter(
    (rule) => /^-A [A-Z]+ /.test(rule) && shared.some((chain) => rule.endsWith(` -j ${chain}`)),
  );
  const guard = saved.raw.filter((rule) => rule === loopbackGuard);
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

/** Matches before and after what an entry always has are conditions; the group in the middle is its protocol, the next its ports. */
const entryPattern =
  /^-A CNI-HOSTPORT-DNAT( .*)? -p (\S+) -m comment --comment (?:"(?:[^"\\]|\\.)*"|\S+) -m multiport --dports (\S+)( .*)? -j (\S+)$/;

/**
 * The entries of which a port does not lead into the own chain. Not compared as texts: the Go plugin names in an entry also what is mapped in
 * the other family alone, and iptables prints conditions in words of its own.
 */
function missingEntries({ chain, entries }: Rules, nat: readonly string[], conditional: boolean): readonly string[] {
  const portsOf = (rule: string): readonly string[] => {
    const [, before, protocol, ports = "", after, target] = entryPattern.exec(rule) ?? [];
    if (target !== chain || ((before || after) && !conditional)) return [];
    return ports.split(",").map((port) => `${protocol} ${port}`);
  };
  const leading = new Set(nat.flatMap(portsOf));
  return entries.filter((entry) => portsOf(entry).some((port) => !leading.has(port)));
}

interface Claim extends Pick<Wanted, "attachment" | "hasEnded"> {
  readonly mappings: readonly Mapping[];
  readonly target: Target;
}

/**
 * Throws when another container's rule has one of the host ports (in another network of the same container, the first rule has it);
 * returns the chains that nobody alive has: they lead to this very address, or belong to an attachment that has ended.
 */
export function refuseTaken(
  nat: readonly string[],
  { attachment, mappings, target: { family, address }, hasEnded }: Claim,
): readonly string[] {
  const stale = new Set<string>();
  const ownChain = ownChainOf(attachment);
  const own = family === "ip" ? `${address}:` : `[${address}]:`;
  for (const rule of nat) {
    const match = /^-A (CNI-DN-\S+)(?: -d (\S+))? -p (\S+) -m \S+ --dport (\d+) -j DNAT --to-destination (\S+)/.exec(
      rule,
    );
    if (match === null || match[1] === ownChain) continue;
    const [, chain = "", destination, protocol, port, to = ""] = match;
    const taken = mappings.find(
      (one) => one.protocol === protocol && one.hostPort === Number(port) && overlap(one.hostIp, destination),
    );
    if (taken === undefined && !to.startsWith(own)) continue;
    const holder = holderOf(nat, chain);
    if (to.startsWith(own) || (holder !== undefined && hasEnded(holder, addressIn(to)))) stale.add(chain);
    else if (taken !== undefined && holder?.containerId !== attachment.containerId) {
      const reason = `it is taken by ${holder === undefined ? `chain ${chain}` : describeAttachment(holder)}`;
      throw new CniError(code.refused, `cannot map host port ${describeHostPort(taken)}: ${reason}`);
    }
  }
  return [...stale];
}

/**
 * Whose chain it is, if another attachment's. The reference joins network and container ID without a separator for the digest in the name,
 * so that those of two may read alike.
 */
export function foreignHolder(
  nat: readonly string[],
  chain: string,
  { network, containerId }: Attachment,
): Attachment | undefined {
  const holder = holderOf(nat, chain);
  return holder?.network === network && holder.containerId === containerId ? undefined : holder;
}

/** `192.0.2.1:80`, `[2001:db8::1]:80`. */
function addressIn(destination: string): string {
  return destination.slice(0, destination.lastIndexOf(":")).replace(/[[\]]/g, "");
}

function overlap(hostIp: string | undefined, destination: string | undefined): boolean {
  if (hostIp === undefined || destination === undefined) return true;
  return destination === hostIp || destination === `${hostIp}/${lengthOf(hostIp)}`;
}

/** Whose chain it is, by the comment of what leads into it. */
function holderOf(nat: readonly string[], chain: string): Attachment | undefined {
  return attachmentOfRule(entriesIn(nat).find((one) => one.chain === chain)?.rule ?? "");
}

/**
 * Removes what `choose` names; that the programs are missing means that there is nothing. Where the node has tables of both kinds, or what it
 * calls iptables is of the other kind than when the rules were made, those of the other kind too.
 */
function removeChains(
  sys: Sys,
  among: readonly Family[],
  choose: (saved: SavedTables, family: Family) => readonly string[],
): readonly FormerPort[] {
  const removeFrom = (family: Family, saved: SavedTables | undefined, kind: IptablesKind): readonly FormerPort[] => {
    const chains = saved ? [...new Set(choose(saved, family))] : [];
    if (saved === undefined || chains.length === 0) return [];
    restoreIptables(family, removeLines(chains, saved), sys, kind);
    return chains.flatMap((chain) => formerPorts(family, saved.nat, chain));
  };
  return locked(sys, () =>
    among.flatMap((family) => {
      const saved = saveIptables(family, sys);
      const isOther = saved !== undefined && !isDeclared(saved.nat, dnatChain);
      const others: readonly IptablesKind[] = [
        ...(isOther && hasNftChain(family, "nat", dnatChain, sys) ? (["-nft"] as const) : []),
        ...(hasLegacyNat(family, sys) ? (["-legacy"] as const) : []),
      ];
      return [
        ...removeFrom(family, saved, ""),
        ...others.flatMap((kind) => removeFrom(family, saveIptables(family, sys, kind), kind)),
      ];
    }),
  );
}

/** What the rules of a chain lead to. */
function formerPorts(family: Family, nat: readonly string[], chain: string): readonly FormerPort[] {
  return nat
    .filter((rule) => rule.startsWith(`-A ${chain} `))
    .flatMap((rule) => {
      const [, protocol, port, to = ""] =
        / -p (tcp|udp|sctp) .*--dport (\d+) -j DNAT --to-destination (\S+)/.exec(rule) ?? [];
      if (protocol === undefined) return [];
      return [{ family, protocol: protocol as Mapping["protocol"], port: Number(port), address: addressIn(to) }];
    });
}

function entriesIn(nat: readonly string[]): readonly { readonly rule: string; readonly chain: string }[] {
  return nat
    .filter((rule) => rule.startsWith(`-A ${dnatChain} `))
    .map((rule) => ({ rule, chain: rule.slice(rule.lastIndexOf(" -j ") + 4) }))
    .filter(({ chain }) => chain.startsWith(ownChainPrefix));
}

function entryRemovals(nat: readonly string[], chains: readonly string[]): readonly string[] {
  return entriesIn(nat)
    .filter(({ chain }) => chains.includes(chain))
    .map(({ rule }) => asRemoval(rule));
}

function asRemoval(rule: string): string {
  return `-D${rule.slice("-A".length)}`;
}

function isDeclared(nat: readonly string[], chain: string): boolean {
  return nat.some((line) => line.startsWith(`:${chain} `));
}

function savedOrFail(family: IptablesFamily, sys: Sys): SavedTables {
  const saved = saveIptables(family, sys);
  if (saved !== undefined) return saved;
  throw new CniError(
    code.refused,
    `cannot map host ports: ${family === "ip" ? "iptables" : "ip6tables"} is not installed`,
  );
}

function locked<T>(sys: Sys, body: () => T): T {
  const lock = takeLock(sys, iptablesLock, "iptables");
  try {
    return body();
  } finally {
    sys.unlock(lock);
  }
}

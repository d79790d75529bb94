/** Kernel objects without an attachment: unused tables, elements that no index lists, limits without an owner. */

import { descriptors } from "#plugins/descriptors";
import { hostMac } from "../../../plugins/calico/names.ts";
import { portmapTable } from "../../../plugins/portmap/names.ts";
import { hostInterfacePrefix, natTable } from "../../identity/names.ts";
import type { AttachmentContext } from "./attachments.ts";
import { isAlive, isBusy, nameOfTrace, subjectOf } from "./attachments.ts";
import type { Tools } from "./chain.ts";
import { ourExecutable } from "./executables.ts";
import type { Finding } from "./finding.ts";
import type { FirewallFacts, NftTable } from "./firewall.ts";
import type { LimitFacts } from "./limits.ts";
import { byPrograms, commandLine } from "./plugin-call.ts";
import { repairByDelOf } from "./repairing.ts";
import type { RecordFile, Trace } from "./sandboxes.ts";

export interface LeftoverSources extends AttachmentContext {
  readonly records: readonly RecordFile[];
  readonly traces: readonly Trace[];
  readonly firewall: FirewallFacts;
  readonly limits: LimitFacts;
  /** Whether an attachment awaits its DEL, which also removes the tables that become idle. */
  readonly hasDead: boolean;
}

export function checkLeftovers(sources: LeftoverSources): readonly Finding[] {
  return [...checkSight(sources), ...checkTables(sources), ...checkGuards(sources), ...checkIfbs(sources)];
}

/** A missing nft is reported by the kernel's checks. */
function checkSight({ firewall: { nftFault } }: LeftoverSources): readonly Finding[] {
  if (nftFault === undefined) return [];
  return [
    {
      id: "firewall-unseen",
      section: "firewall",
      severity: "warning",
      subject: "nf_tables",
      text: `cannot be read: ${nftFault}: host ports of dead attachments cannot be found`,
      remedy: "nft list tables",
    },
  ];
}

/** No network has this name, so a GC of it collects only objects without any owner. */
const unusedNetwork = "tortie-doctor";

function checkTables(sources: LeftoverSources): readonly Finding[] {
  const { records, traces, firewall, tools, hasDead } = sources;
  return firewall.nftTables.flatMap((table) => {
    if (table.name === natTable) {
      // A missing record is reported together with its interface.
      const hasAttachments = records.length > 0 || hasDead || traces.some(({ link, parts }) => link ?? parts[0]);
      return hasAttachments || hasCalicosPods(sources) ? [] : [idleTable(table, "no attachment uses it", tools)];
    }
    const unlisted = table.name === portmapTable ? unlistedElements(table) : [];
    if (table.owners.length === 0 && unlisted.length === 0) {
      const what = table.name === portmapTable ? "a port" : "an element";
      return [idleTable(table, `no attachment has ${what} in it`, tools)];
    }
    return unlisted;
  });
}

/** Of Calico's own plugin, from before the node changed to ours: the table serves them too. */
function hasCalicosPods({ facts }: LeftoverSources): boolean {
  return facts.hostLinks.some(
    ({ ifname, address, ifalias }) =>
      ifname.startsWith(hostInterfacePrefix) && address === hostMac && ifalias === undefined,
  );
}

/** GC of the table's plugin removes it. */
function idleTable({ family, name }: NftTable, why: string, tools: Tools): Finding {
  const owner = descriptors.find(({ traces }) => traces.tables.includes(name));
  const finding = {
    id: "table-left",
    section: "firewall",
    severity: "error",
    subject: `table ${family} ${name}`,
    text: `is there, and ${why}: the DEL that should have removed it was killed`,
  } as const;
  if (owner === undefined) return { ...finding, remedy: `nft delete table ${family} ${name}` };
  const type = owner.name;
  const path = ourExecutable(tools.executables, type);
  if (path === undefined) return { ...finding, remedy: `# install ${type} first; its GC removes unused tables` };
  const document = {
    cniVersion: "1.1.0",
    name: unusedNetwork,
    type,
    // Ours is there wherever the plugin is.
    ...("ipam" in owner.snippet && { ipam: { type: "calico-ipam" } }),
    "cni.dev/valid-attachments": [],
  };
  const call = { path, command: "GC", pluginPath: tools.executables.directories.join(":"), document } as const;
  return { ...finding, remedy: commandLine(call), fix: { kind: "plugins", calls: [call] } };
}

/** Removal uses the index: an unlisted element would stay for ever. */
function unlistedElements({ family, name, owners, elements }: NftTable): readonly Finding[] {
  return elements
    .filter(({ comment }) => comment !== undefined && !owners.includes(comment))
    .map(({ set, key, comment }) => {
      const argv = ["nft", "delete", "element", family, name, set, "{", ...key.split(" "), "}"];
      return {
        id: "element-unlisted",
        section: "firewall",
        severity: "error",
        subject: `element { ${key} } of ${family} ${name} ${set}`,
        text: `belongs to ${comment}, which has no index set: DEL would not find it`,
        ...byPrograms([argv]),
      };
    });
}

/** The guard is removed with the last mapping; lost mappings that will be added again need it too. */
function checkGuards({ firewall, traces }: LeftoverSources): readonly Finding[] {
  if (traces.some((trace) => isAlive(trace) && trace.parts.some(({ type }) => type === "portmap"))) return [];
  return firewall.iptables.flatMap(({ family, entries, guards }) => {
    if (entries.length > 0 || guards.length === 0) return [];
    const program = family === "ip" ? "iptables" : "ip6tables";
    const argvs = guards.map((rule) => [program, "-t", "raw", ...wordsOf(rule.replace(/^-A /, "-D "))]);
    return [
      {
        id: "guard-left",
        section: "firewall",
        severity: "error",
        subject: `${program} raw PREROUTING`,
        text: "still has the guard of 127.0.0.0/8, but no attachment has a host port in iptables",
        ...byPrograms(argvs),
      } as const,
    ];
  });
}

/** Of a rule as iptables-save prints it. */
function wordsOf(rule: string): readonly string[] {
  return [...rule.matchAll(/"((?:[^"\\]|\\.)*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? "");
}

function checkIfbs({ limits, traces, facts, tools }: LeftoverSources): readonly Finding[] {
  return limits.ifbs.flatMap((ifb): readonly Finding[] => {
    const { name, owner, servedTo } = ifb;
    if (servedTo.length > 0) return [];
    const trace = traces.find((one) => one.ifb === ifb);
    if (trace === undefined) {
      // A digest does not identify the owner, and a running ADD or DEL may be working on the chain.
      if (facts.processes.some(({ plugin }) => plugin?.command === "ADD" || plugin?.command === "DEL")) return [];
      const argv = ["ip", "link", "delete", "dev", name];
      return [
        {
          id: "ifb-left",
          section: "limits",
          severity: "error",
          subject: name,
          text: `carries no packets, and ${owner === undefined ? "has no owner" : `its owner ${owner} is not known`}`,
          ...byPrograms([argv]),
        },
      ];
    }
    if (!isAlive(trace) || isBusy(trace, facts.processes)) return [];
    // CHECK reports it.
    if (trace.parts.some(({ type }) => type === "bandwidth") || trace.cached !== undefined) return [];
    return [
      {
        id: "limits-broken",
        section: "limits",
        severity: "error",
        subject: subjectOf(trace),
        text: `(${nameOfTrace(trace)}) has ifb ${name}, but no packets are redirected to it: its egress is not limited`,
        ...repairByDelOf("bandwidth", trace, tools),
      },
    ];
  });
}

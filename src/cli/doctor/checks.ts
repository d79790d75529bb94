/** CHECK of every attachment that is there: the plugin itself says what differs from what it made. */
import { code } from "../../cni/error.ts";
import type { Pool } from "../../ipam/pool.ts";
import { natOutgoing } from "../../plan/nat-outgoing.ts";
import { nftCommands } from "../../plan/show-nft.ts";
import { mapAtOnce } from "../at-once.ts";
import type { Cli } from "../cli.ts";
import { messageOf } from "../error.ts";
import type { Process } from "../processes.ts";
import { isAtWork, sandboxPath } from "./attachments.ts";
import type { Finding } from "./finding.ts";
import { checkCall, type Tools } from "./mending.ts";
import { byPrograms, callPlugin, faultOfPlugin } from "./plugin-call.ts";
import type { Trace } from "./sandboxes.ts";

export interface CheckFacts {
  /** What differs, by owner. */
  readonly byOwner: ReadonlyMap<string, readonly string[]>;
}

/** What CHECK says of the kernel; of anything else (the store, an executable) the others tell. */
const ofTheKernel = [code.different, code.refused, code.internal] as readonly number[];

export async function gatherChecks(
  cli: Cli,
  traces: readonly Trace[],
  processes: readonly Process[],
  tools: Tools,
): Promise<CheckFacts> {
  const whole = traces.filter(
    (trace) =>
      trace.link?.ifalias === trace.owner && trace.record?.endpoint !== undefined && !isAtWork(trace, processes),
  );
  const found = await mapAtOnce(whole, async (trace) => [trace.owner, await check(cli, trace, tools)] as const);
  return { byOwner: new Map(found.filter(([, differences]) => differences.length > 0)) };
}

async function check(cli: Cli, trace: Trace, tools: Tools): Promise<readonly string[]> {
  const netns = sandboxPath(trace);
  const call = netns === undefined ? undefined : checkCall(trace, netns, tools);
  if (call === undefined) return [];
  try {
    const fault = faultOfPlugin(await callPlugin(cli, call));
    if (fault === undefined || !ofTheKernel.includes(fault.code)) return [];
    // What the addresses' own check tells.
    if (fault.message.startsWith("cannot confirm the addresses of handle")) return [];
    return fault.message.replace(/^cannot confirm "[^"]*": /, "").split("; ");
  } catch (error) {
    return [messageOf(error)];
  }
}

export interface SharedDifferences {
  /** By table. */
  readonly findings: readonly Finding[];
  /** The rest, by owner. */
  readonly own: ReadonlyMap<string, readonly string[]>;
}

/** What all attachments share is told once: the sets and rules of the table that they leave by, and the node's forwarding. */
export function splitShared({ byOwner }: CheckFacts, pools: readonly Pool[]): SharedDifferences {
  const tables = new Map<string, Set<string>>();
  const own = new Map<string, readonly string[]>();
  for (const [owner, differences] of byOwner) {
    const rest: string[] = [];
    for (const text of differences) {
      const table = tableIn(text);
      if (table !== undefined) tables.set(table, (tables.get(table) ?? new Set()).add(text));
      else if (!/^sysctl net\/ipv[46]\/.*forward/.test(text)) rest.push(text);
    }
    if (rest.length > 0) own.set(owner, rest);
  }
  return { own, findings: [...tables].map(([table, texts]) => sharedTable(table, [...texts], pools)) };
}

/** `ip tortie` out of `element { 10.0.0.0/8 } of ip tortie nat_pools is missing`. */
function tableIn(text: string): string | undefined {
  return /\b(ip6? tortie)\b(?!_)/.exec(text)?.[1];
}

/** Made anew in one transaction: no packet goes by half a table. */
function sharedTable(table: string, texts: readonly string[], pools: readonly Pool[]): Finding {
  const family = table === "ip tortie" ? "ip" : "ip6";
  const all = pools.map(({ cidr, natOutgoing: nat }) => ({ cidr, nat }));
  const wanted = natOutgoing(all, { guarded: family === "ip" }).filter((one) => one.family === family);
  const script = [`add table ${table}`, `delete table ${table}`, ...nftCommands(wanted, "")].join("; ");
  return {
    id: "nat-different",
    section: "firewall",
    severity: "error",
    subject: `table ${table}`,
    text: `is not as the pools want it: ${texts.join("; ")}: pods may not leave the node by its address`,
    ...byPrograms([["nft", script]]),
  };
}

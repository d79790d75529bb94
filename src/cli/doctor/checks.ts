/** CHECK of every attachment that is there: the plugin itself says what differs from what it made. */
import type { Cli } from "../cli.ts";
import { messageOf } from "../error.ts";
import type { Process } from "../processes.ts";
import { isAtWork, sandboxPath } from "./attachments.ts";
import type { Finding } from "./finding.ts";
import { checkCall, mendByAdd, type Tools } from "./mending.ts";
import { callPlugin, faultOfPlugin } from "./plugin-call.ts";
import type { Trace } from "./sandboxes.ts";

export interface CheckFacts {
  /** What differs, by owner. */
  readonly byOwner: ReadonlyMap<string, readonly string[]>;
}

const different = 101;
const atOnce = 8;

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
  const byOwner = new Map<string, readonly string[]>();
  for (let first = 0; first < whole.length; first += atOnce) {
    const some = whole.slice(first, first + atOnce);
    const found = await Promise.all(some.map((trace) => check(cli, trace, tools)));
    for (const [at, differences] of found.entries()) {
      const owner = some[at]?.owner;
      if (owner !== undefined && differences.length > 0) byOwner.set(owner, differences);
    }
  }
  return { byOwner };
}

async function check(cli: Cli, trace: Trace, tools: Tools): Promise<readonly string[]> {
  const netns = sandboxPath(trace);
  const call = netns === undefined ? undefined : checkCall(trace, netns, tools);
  if (call === undefined) return [];
  try {
    const fault = faultOfPlugin(await callPlugin(cli, call));
    if (fault === undefined) return [];
    if (fault.code !== different) return [fault.message];
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
export function splitShared({ byOwner }: CheckFacts, traces: readonly Trace[], tools: Tools): SharedDifferences {
  const tables = new Map<string, { readonly texts: Set<string>; readonly trace: Trace }>();
  const own = new Map<string, readonly string[]>();
  for (const [owner, differences] of byOwner) {
    const trace = traces.find((one) => one.owner === owner);
    const rest: string[] = [];
    for (const text of differences) {
      const table = tableIn(text);
      if (table !== undefined && trace !== undefined) {
        const known = tables.get(table) ?? { texts: new Set<string>(), trace };
        known.texts.add(text);
        tables.set(table, known);
      } else if (!/^sysctl net\/ipv[46]\/.*forward/.test(text)) rest.push(text);
    }
    if (rest.length > 0) own.set(owner, rest);
  }
  return {
    own,
    findings: [...tables].map(([table, { texts, trace }]) => sharedTable(table, [...texts], trace, tools)),
  };
}

/** `ip tortie` out of `element { 10.0.0.0/8 } of ip tortie nat_pools is missing`. */
function tableIn(text: string): string | undefined {
  return /\b(ip6? tortie)\b(?!_)/.exec(text)?.[1];
}

function sharedTable(table: string, texts: readonly string[], trace: Trace, tools: Tools): Finding {
  const netns = sandboxPath(trace);
  const again = netns === undefined ? undefined : mendByAdd(trace, netns, tools);
  return {
    id: "nat-different",
    section: "firewall",
    severity: "error",
    subject: `table ${table}`,
    text: `is not as the pools want it: ${texts.join("; ")}: pods may not leave the node by its address`,
    ...(again ?? { remedy: "# the next ADD on this node mends it" }),
  };
}

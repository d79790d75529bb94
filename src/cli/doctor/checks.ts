/** Runs CHECK of every existing attachment, for each plugin of its chain: the plugins themselves report the differences. */

import { code } from "../../cni/error.ts";
import { natTable } from "../../identity/names.ts";
import type { Family } from "../../net/address.ts";
import { nftCommands } from "../../plan/show-nft.ts";
import type { ReportedDifference } from "../../plugin/differences.ts";
import type { Cli } from "../cli.ts";
import { messageOf } from "../error.ts";
import { mapAtOnce } from "../node/at-once.ts";
import type { Process } from "../node/processes.ts";
import { isAlive, isBusy, sandboxPath } from "./attachments.ts";
import { type Chain, callOfMember, chainOf, type Member, prevResultOf, type Tools } from "./chain.ts";
import type { Difference } from "./difference.ts";
import { ourExecutable } from "./executables.ts";
import type { Finding, PluginCall } from "./finding.ts";
import { type NatFacts, natResources } from "./node-agent.ts";
import { byPrograms, callPlugin, faultOfPlugin } from "./plugin-call.ts";
import { checkCall } from "./repairing.ts";
import type { Trace } from "./sandboxes.ts";

export interface CheckFacts {
  /** The differences, by owner. */
  readonly byOwner: ReadonlyMap<string, readonly Difference[]>;
  /** Plugins whose work could not be checked, by owner. */
  readonly unknown: ReadonlyMap<string, readonly Unchecked[]>;
}

export interface Unchecked {
  readonly plugin: string;
  /** Why, as the end of a sentence: `its request was not recorded`. */
  readonly reason: string;
}

/** Codes that are about the kernel. Other checks report on the datastore and the executables. */
const ofTheKernel = [code.different, code.refused, code.internal] as readonly number[];

export async function gatherChecks(
  cli: Cli,
  traces: readonly Trace[],
  processes: readonly Process[],
  tools: Tools,
): Promise<CheckFacts> {
  const whole = traces.filter((trace) => isWhole(trace) && !isBusy(trace, processes));
  const checked = await mapAtOnce(whole, async (trace) => ({
    owner: trace.owner,
    ...(await checkChain(cli, trace, tools)),
  }));
  const collect = <T>(of: (one: (typeof checked)[number]) => readonly T[]) =>
    new Map(checked.flatMap((one) => (of(one).length === 0 ? [] : [[one.owner, of(one)] as const])));
  return { byOwner: collect(({ differences }) => differences), unknown: collect(({ unknown }) => unknown) };
}

/** Whether it has its interface: ours by the alias, a foreign main plugin's by the sandbox. */
function isWhole(trace: Trace): boolean {
  if (trace.record?.endpoint !== undefined) return trace.link?.ifalias === trace.owner;
  return trace.record === undefined && trace.link === undefined && isAlive(trace) && trace.hostLink !== undefined;
}

interface Checked {
  readonly differences: readonly Difference[];
  readonly unknown: readonly Unchecked[];
}

async function checkChain(cli: Cli, trace: Trace, tools: Tools): Promise<Checked> {
  const netns = sandboxPath(trace);
  if (netns === undefined) return { differences: [], unknown: [] };
  const chain = chainOf(trace, tools);
  const differences: Difference[] = [];
  const unknown: Unchecked[] = [];
  for (const member of chain.members) {
    const call = checkOf(member, chain, trace, netns, tools);
    if (call === undefined) continue;
    if (typeof call === "string") unknown.push({ plugin: member.type, reason: call });
    else {
      const isOurs = ourExecutable(tools.executables, member.type) !== undefined;
      const found = await check(cli, call, isOurs);
      if (typeof found === "string") unknown.push({ plugin: member.type, reason: found });
      else if (found.length > 0) differences.push({ plugin: member.type, found });
    }
  }
  return { differences, unknown };
}

/** Why it cannot be checked; `undefined` if only its own runtime checks it. */
function checkOf(
  member: Member,
  chain: Chain,
  trace: Trace,
  netns: string,
  tools: Tools,
): PluginCall | string | undefined {
  const { type } = member;
  const isOurs = ourExecutable(tools.executables, type) !== undefined;
  if (type === "calico" && isOurs) return checkCall(trace, member, netns, tools);
  // A foreign main plugin's objects are its own.
  if (trace.record?.endpoint === undefined && member === chain.members[0] && !isOurs) return undefined;
  const call = callOfMember("CHECK", member, trace, netns, tools);
  if (call === undefined) return whyNot(member, tools);
  if (chain.result === undefined) return "the result of the chain was not recorded";
  const { cniVersion } = call.document as { readonly cniVersion?: string };
  // Older versions of the protocol have no CHECK, but our plugins answer it in all versions.
  const version = isOurs ? "1.0.0" : (cniVersion ?? "1.0.0");
  if (/^0\.[0-3]\./.test(version)) return `CNI ${version}, the version of its network, has no CHECK`;
  const prevResult = prevResultOf(chain.result, netns, version);
  return { ...call, document: { ...call.document, cniVersion: version, prevResult } };
}

function whyNot({ type }: Member, { executables }: Tools): string {
  const found = executables.executables.find(({ name }) => name === type);
  if (found?.path === undefined) return `its executable is in none of ${executables.directories.join(", ")}`;
  if (found.fault !== undefined) return `"${found.path}" does not answer: ${found.fault}`;
  return "its request was not recorded";
}

/** The differences, or why a foreign plugin did not report any: its crash says nothing about the pod. */
async function check(cli: Cli, call: PluginCall, isOurs: boolean): Promise<readonly ReportedDifference[] | string> {
  try {
    const fault = faultOfPlugin(await callPlugin(cli, call));
    if (fault?.crashed && !isOurs) return `its CHECK ended without an answer: ${fault.message}`;
    if (fault === undefined || !ofTheKernel.includes(fault.code)) return [];
    if (!isOurs || fault.differences === undefined) return [unnamed(fault.message)];
    // Allocations are checked separately.
    return fault.differences.filter(({ kind }) => kind !== "allocation");
  } catch (error) {
    return [unnamed(messageOf(error))];
  }
}

/** A difference that a plugin reports only as text. */
function unnamed(text: string): ReportedDifference {
  return { kind: "answer", text };
}

export interface SharedDifferences {
  /** By table. */
  readonly findings: readonly Finding[];
  /** The families whose table differs. */
  readonly families: readonly Family[];
  /** The other differences, by owner. */
  readonly own: ReadonlyMap<string, readonly Difference[]>;
}

/** Reports shared objects once: the sets and rules of the NAT tables, unless their pools are not known, and the node's forwarding. */
export function splitShared({ byOwner }: CheckFacts, nat: NatFacts | undefined): SharedDifferences {
  const tables = new Map<string, Set<string>>();
  const own = new Map<string, readonly Difference[]>();
  const isOwn = ({ kind, at, object = "", text }: ReportedDifference): boolean => {
    if (kind === "sysctl") return at !== "host" || !isForwarding(object);
    if (!natTables.has(object)) return true;
    tables.set(object, (tables.get(object) ?? new Set()).add(text));
    return false;
  };
  for (const [owner, differences] of byOwner) {
    const rest = differences.flatMap(({ plugin, found }) => {
      const ofIts = plugin === "calico" ? found.filter(isOwn) : found;
      return ofIts.length === 0 ? [] : [{ plugin, found: ofIts }];
    });
    if (rest.length > 0) own.set(owner, rest);
  }
  return {
    own,
    findings: nat === undefined ? [] : [...tables].map(([table, texts]) => sharedTable(table, [...texts], nat)),
    families: [...tables.keys()].flatMap((table) => natTables.get(table) ?? []),
  };
}

/** The NAT tables, as CHECK names them, with their families. */
const natTables: ReadonlyMap<string, Family> = new Map([
  [`ip ${natTable}`, 4],
  [`ip6 ${natTable}`, 6],
]);

/** Of the node or one of its interfaces: `net/ipv4/ip_forward`, `net/ipv6/conf/all/forwarding`. */
function isForwarding(sysctl: string): boolean {
  return /^net\/ipv[46]\/(.*\/)?(ip_forward|forwarding)$/.test(sysctl);
}

/** Replaced in one transaction, so that no packet sees half of the table. */
function sharedTable(table: string, texts: readonly string[], nat: NatFacts): Finding {
  const family = natTables.get(table) === 4 ? "ip" : "ip6";
  const wanted = natResources(nat, { guarded: family === "ip" }).filter((one) => one.family === family);
  const script = [`add table ${table}`, `delete table ${table}`, ...nftCommands(wanted, "")].join("; ");
  return {
    id: "nat-different",
    section: "firewall",
    severity: "error",
    subject: `table ${table}`,
    text: `does not match the pools: ${texts.join("; ")}: pods' packets may leave the node unmasqueraded`,
    ...byPrograms([["nft", script]], `recreated table ${table}`),
  };
}

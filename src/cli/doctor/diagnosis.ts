import { runDir } from "../../identity/names.ts";
import type { Problem } from "../../ipam/check/report.ts";
import { checkAddresses, hasDamagedPool } from "./addresses.ts";
import { type AddressingFacts, checkAddressing } from "./addressing.ts";
import {
  type AttachmentContext,
  checkAttachment,
  isAlive,
  isBusy,
  isClosed,
  isUnverifiable,
  sectionOfWork,
  subjectOf,
} from "./attachments.ts";
import { notesOfChangedPools } from "./changed-pools.ts";
import { checkExecutables } from "./check-executables.ts";
import { checkNetworks } from "./check-networks.ts";
import { type CheckFacts, splitShared } from "./checks.ts";
import { type ExecutableFacts, networksOfOurs } from "./executables.ts";
import { type Finding, type Note, type Section, sections } from "./finding.ts";
import { checkHostProcesses, type ListenerFact } from "./host-processes.ts";
import { checkKernel, type KernelFacts, pluginsMissing } from "./kernel.ts";
import { checkLeftovers } from "./leftovers.ts";
import type { NetworkFacts } from "./networks.ts";
import { type AgentFacts, checkAgent, type NatFacts, natFacts, notesOfAgent } from "./node-agent.ts";
import { checkParts } from "./parts.ts";
import { plural } from "./plural.ts";
import type { ReachFacts } from "./reach/facts.ts";
import { checkReach, describeReach } from "./reach/reach.ts";
import { checkReadiness, type ReadinessFact } from "./readiness.ts";
import { type Trace, type TraceSources, tracesOf } from "./sandboxes.ts";
import { checkState, type StateFacts } from "./state.ts";
import { checkTunnels } from "./tunnels/check.ts";
import type { TunnelFacts } from "./tunnels/facts.ts";

/** Facts that do not change during a run. */
export interface StaticFacts {
  readonly kernel: KernelFacts;
  readonly executables: ExecutableFacts;
  readonly networks: NetworkFacts;
  readonly addressing: AddressingFacts;
}

/** Facts that change between looks, because ADDs and DELs continue. */
export interface ChangingFacts extends TraceSources {
  readonly state: StateFacts;
  readonly agent: AgentFacts;
  readonly reach: ReachFacts;
  readonly tunnels: TunnelFacts;
  readonly checks: CheckFacts;
  /** The problems of the report that a command can repair. */
  readonly repairable: ReadonlySet<Problem>;
  readonly listeners: readonly ListenerFact[];
}

/** `readiness`: of the plugins that could be called. */
export function diagnoseStatic(
  { kernel, executables, networks, addressing }: StaticFacts,
  readiness: readonly ReadinessFact[],
): Diagnosis {
  const findings = [
    ...checkKernel(kernel, networks),
    ...checkExecutables(executables, networks),
    ...checkNetworks(networks, executables),
    ...checkAddressing(addressing),
    ...checkReadiness(readiness, { plugins: pluginsMissing(kernel), executables }),
  ];
  const ours = executables.executables.filter(({ build }) => build !== undefined);
  const overview = {
    kernel: `Linux ${kernel.release}; ${Object.keys(kernel.features).join(", ")}`,
    executables: `${ours.map(({ name }) => name).join(", ")} in ${executables.directories.join(", ")}; ${ours[0]?.build}`,
    networks: networksOfOurs(networks, executables)
      .map(({ name, plugins }) => `${name}: ${plugins.map(({ type }) => type).join(", ")}`)
      .join("; "),
    locks: "free",
  };
  return { findings, overview, notes: [] };
}

/** `graceSeconds`: younger objects are not checked if a plugin that is not visible may be working on them. */
export function diagnoseChanging(tools: StaticFacts, moving: ChangingFacts, graceSeconds: number): Diagnosis {
  const { facts, snapshot, report, state, reach, checks } = moving;
  const traces = tracesOf(moving);
  const nat = natFacts(snapshot.pools, moving.agent);
  const shared = splitShared(checks, nat);
  const context = {
    node: snapshot.node,
    facts,
    tools,
    checks: shared.own,
    graceSeconds,
    living: addressesOfTheLiving(traces),
  };
  const attachments = traces.flatMap((trace) => checkAttachment(trace, context));
  const left = new Set(attachments.filter(({ id }) => id === "attachment-left").map(({ subject }) => subject));
  const dead = traces.filter((trace) => left.has(subjectOf(trace)));
  const atWork = traces.filter((trace) => isBusy(trace, facts.processes));
  const tooYoung = traces.filter(
    (trace) =>
      checkAttachment(trace, context).length === 0 &&
      checkAttachment(trace, { ...context, graceSeconds: 0 }).length > 0,
  );
  const findings = [
    ...checkState(state, graceSeconds),
    ...checkAgent(moving.agent),
    ...attachments,
    ...checkParts(moving.parts),
    ...shared.findings,
    ...checkLeftovers({ ...moving, ...context, traces, hasDead: dead.length > 0 }),
    ...checkHostProcesses(moving.firewall, moving.listeners),
    ...checkAddresses(report, [...dead, ...atWork, ...tooYoung], moving.repairable).filter(
      (finding) => !isOfNode(finding, tools),
    ),
    ...checkReach(reach, snapshot.pools),
    ...checkTunnels(moving.tunnels, moving.agent, reach),
  ];
  const looked = { traces, atWork, tooYoung } as const;
  return {
    findings,
    overview: overviewOf(moving, looked),
    notes: [
      ...notesOfTraces(looked, context, checks),
      ...notesOfAgent(moving.agent),
      ...notesOfPools(moving, nat),
      ...reach.unseen.map((text): Note => ({ section: "reach", subject: "", text: `not checked: ${text}` })),
    ],
  };
}

interface Looked {
  readonly traces: readonly Trace[];
  readonly atWork: readonly Trace[];
  /** Not checked, because a plugin may be working on them. */
  readonly tooYoung: readonly Trace[];
}

function overviewOf({ state, limits, firewall, report, reach }: ChangingFacts, { traces, atWork }: Looked): Overview {
  return {
    state: `${runDir}${state.runFileSystem === undefined ? ": not there yet" : ` on ${state.runFileSystem}`}`,
    attachments: [`${traces.filter(isAlive).length} alive`, ...counted(atWork.length, "at work")].join(", "),
    limits: plural(limits.ifbs.length, "ifb link"),
    firewall: [
      plural(firewall.nftTables.length, "table"),
      plural(traces.flatMap(({ ports, chains }) => [...ports, ...chains]).length, "host port"),
    ].join(", "),
    addresses: `${report.allocations.length} assigned`,
    reach: describeReach(reach),
  };
}

/** Why some are not checked. */
function notesOfTraces({ traces, tooYoung }: Looked, context: AttachmentContext, checks: CheckFacts): readonly Note[] {
  return [
    ...notChecked(traces, checks),
    ...tooYoung.map(noteOf(`not checked, younger than ${context.graceSeconds} s; --grace 0 checks them too`)),
    ...traces
      .filter((trace) => isUnverifiable(trace, context))
      .map(noteOf(`not checked, in a sandbox that is not visible from here; ${whereAllIsSeen}`)),
    ...traces
      .filter((trace) => isClosed(trace) && trace.sandbox !== "gone")
      .map(noteOf(`alive but not checked, because the sandbox cannot be entered from here; ${whereAllIsSeen}`)),
  ];
}

/** Changes of pools that take effect later, or that cannot be checked because a pool is unreadable. */
function notesOfPools({ firewall, report }: ChangingFacts, nat: NatFacts | undefined): readonly Note[] {
  if (!hasDamagedPool(report)) return nat === undefined ? [] : notesOfChangedPools(firewall, nat);
  const text = "whether a pool holds each address is not checked while a pool cannot be read";
  return [{ section: "addresses", subject: "", text }];
}

/** An address of the node itself in a pool, or the gateway of its pods, which no pod gets. Pools that overlap the node have a finding of their own. */
function isOfNode({ id, subject }: Finding, { addressing }: StaticFacts): boolean {
  return id === "unknown-address" && addressing.hostAddresses.includes(subject);
}

const whereAllIsSeen = "run this command on the node itself, where the runtime runs";

function noteOf(text: string): (trace: Trace) => Note {
  return (trace) => ({ section: "attachments", subject: subjectOf(trace), text });
}

/** Objects of a plugin that cannot be checked, because its request is unknown. */
function notChecked(traces: readonly Trace[], { unknown }: CheckFacts): readonly Note[] {
  return traces.flatMap((trace) =>
    (unknown.get(trace.owner) ?? []).map(({ plugin, reason }) => ({
      section: sectionOfWork(plugin),
      subject: subjectOf(trace),
      text: `what plugin "${plugin}" made is not checked: ${reason}`,
    })),
  );
}

export interface Diagnosis {
  readonly findings: readonly Finding[];
  /** What was checked, for people. */
  readonly overview: Overview;
  /** What was not checked. */
  readonly notes: readonly Note[];
}

export type Overview = Readonly<Partial<Record<Section, string>>>;

function counted(count: number, what: string): readonly string[] {
  return count === 0 ? [] : [`${count} ${what}`];
}

/** Each address of a live attachment, with its owner. */
function addressesOfTheLiving(traces: readonly Trace[]): ReadonlyMap<string, string> {
  return new Map(
    traces
      .filter(isAlive)
      .flatMap(({ owner, record }) =>
        (record?.endpoint?.addresses ?? []).map((address) => [address.replace(/\/\d+$/, ""), owner] as const),
      ),
  );
}

export function inOrder(findings: readonly Finding[]): readonly Finding[] {
  return sections.flatMap((section) => findings.filter((finding) => finding.section === section));
}

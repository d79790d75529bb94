import { runDir } from "../../identity/names.ts";
import type { Problem } from "../../ipam/check/report.ts";
import { addressOf } from "../../net/prefix.ts";
import { hasDamagedPool, judgeAddresses } from "./addresses.ts";
import { type AddressingFacts, judgeAddressing } from "./addressing.ts";
import { isAtWork, isClosed, isUnseen, judgeAttachment, livesIn, sectionOfWork, subjectOf } from "./attachments.ts";
import { notesOfChangedPools } from "./changed-pools.ts";
import { type CheckFacts, splitShared } from "./checks.ts";
import { type ExecutableFacts, networksOfOurs } from "./executables.ts";
import { type Finding, type Note, type Section, sections } from "./finding.ts";
import { judgeHostProcesses, type ListenerFact } from "./host-processes.ts";
import { judgeExecutables } from "./judge-executables.ts";
import { judgeNetworks } from "./judge-networks.ts";
import { judgeKernel, type KernelFacts, pluginsMissing } from "./kernel.ts";
import { judgeLeftovers } from "./leftovers.ts";
import type { NetworkFacts } from "./networks.ts";
import { judgeParts } from "./parts.ts";
import { plural } from "./plural.ts";
import type { ReachFacts } from "./reach/facts.ts";
import { describeReach, judgeReach } from "./reach/reach.ts";
import { judgeReadiness, type ReadinessFact } from "./readiness.ts";
import { type Trace, type TraceSources, tracesOf } from "./sandboxes.ts";
import { judgeState, type StateFacts } from "./state.ts";

/** What does not change while one looks. */
export interface Settled {
  readonly kernel: KernelFacts;
  readonly executables: ExecutableFacts;
  readonly networks: NetworkFacts;
  readonly addressing: AddressingFacts;
}

/** What is different at each look, for ADD and DEL go on. */
export interface Moving extends TraceSources {
  readonly state: StateFacts;
  readonly reach: ReachFacts;
  readonly checks: CheckFacts;
  /** Of the report's problems those that a command can put right. */
  readonly repairable: ReadonlySet<Problem>;
  readonly listeners: readonly ListenerFact[];
}

/** `readiness`: of the plugins that could be asked. */
export function diagnoseSettled(
  { kernel, executables, networks, addressing }: Settled,
  readiness: readonly ReadinessFact[],
): Diagnosis {
  const findings = [
    ...judgeKernel(kernel, networks),
    ...judgeExecutables(executables, networks),
    ...judgeNetworks(networks, executables),
    ...judgeAddressing(addressing),
    ...judgeReadiness(readiness, { plugins: pluginsMissing(kernel), executables }),
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

/** `graceSeconds`: what is younger is not judged where a plugin that cannot be seen might be at work on it. */
export function diagnoseMoving(tools: Settled, moving: Moving, graceSeconds: number): Diagnosis {
  const { facts, snapshot, report, state, reach, checks } = moving;
  const traces = tracesOf(moving);
  const shared = splitShared(checks, snapshot.pools);
  const context = {
    node: snapshot.node,
    facts,
    tools,
    checks: shared.own,
    graceSeconds,
    living: addressesOfTheLiving(traces),
  };
  const attachments = traces.flatMap((trace) => judgeAttachment(trace, context));
  const left = new Set(attachments.filter(({ id }) => id === "attachment-left").map(({ subject }) => subject));
  const dead = traces.filter((trace) => left.has(subjectOf(trace)));
  const atWork = traces.filter((trace) => isAtWork(trace, facts.processes));
  const tooYoung = traces.filter(
    (trace) =>
      judgeAttachment(trace, context).length === 0 &&
      judgeAttachment(trace, { ...context, graceSeconds: 0 }).length > 0,
  );
  const findings = [
    ...judgeState(state, graceSeconds),
    ...attachments,
    ...judgeParts(moving.parts),
    ...shared.findings,
    ...judgeLeftovers({ ...moving, ...context, traces, hasDead: dead.length > 0 }),
    ...judgeHostProcesses(moving.firewall, moving.listeners),
    ...judgeAddresses(report, [...dead, ...atWork, ...tooYoung], moving.repairable).filter(
      (finding) => !isOfNode(finding, tools),
    ),
    ...judgeReach(reach, snapshot.pools),
  ];
  return {
    findings,
    overview: {
      state: `${runDir}${state.runFileSystem === undefined ? ": not there yet" : ` on ${state.runFileSystem}`}`,
      attachments: [`${traces.filter(livesIn).length} alive`, ...counted(atWork.length, "at work")].join(", "),
      limits: plural(moving.limits.ifbs.length, "ifb link"),
      firewall: [
        plural(moving.firewall.nftTables.length, "table"),
        plural(traces.flatMap(({ ports, chains }) => [...ports, ...chains]).length, "host port"),
      ].join(", "),
      addresses: `${report.allocations.length} assigned`,
      reach: describeReach(reach),
    },
    notes: [
      ...notChecked(traces, checks),
      ...tooYoung.map(noteOf(`not judged, younger than ${graceSeconds} s; --grace 0 judges them too`)),
      ...traces
        .filter((trace) => isUnseen(trace, context))
        .map(noteOf(`not judged, in a sandbox that cannot be seen from here; ${whereAllIsSeen}`)),
      ...traces
        .filter((trace) => isClosed(trace) && trace.sandbox !== "gone")
        .map(noteOf(`alive, and not looked into, for the sandbox cannot be entered from here; ${whereAllIsSeen}`)),
      ...notesOfPools(moving),
      ...reach.unseen.map((text): Note => ({ section: "reach", subject: "", text: `not judged: ${text}` })),
    ],
  };
}

/** What of the pools takes effect later, or cannot be judged while one of them cannot be read. */
function notesOfPools({ firewall, snapshot, report }: Moving): readonly Note[] {
  if (!hasDamagedPool(report)) return notesOfChangedPools(firewall, snapshot.pools);
  const text = "whether a pool holds each address is not judged while a pool cannot be read";
  return [{ section: "addresses", subject: "", text }];
}

/** An address of the node itself in a pool: no pod gets it, and the pool is told of. */
function isOfNode({ id, subject }: Finding, { addressing }: Settled): boolean {
  return id === "unknown-address" && addressing.node.addresses.some(({ address }) => addressOf(address) === subject);
}

const whereAllIsSeen = "run this command on the node itself, where its runtime runs";

function noteOf(text: string): (trace: Trace) => Note {
  return (trace) => ({ section: "attachments", subject: subjectOf(trace), text });
}

/** What a plugin made, and nobody can ask it whether it is still so. */
function notChecked(traces: readonly Trace[], { unknown }: CheckFacts): readonly Note[] {
  return traces.flatMap((trace) =>
    (unknown.get(trace.owner) ?? []).map(({ plugin, reason }) => ({
      section: sectionOfWork(plugin),
      subject: subjectOf(trace),
      text: `what plugin "${plugin}" made is not judged, for ${reason}`,
    })),
  );
}

export interface Diagnosis {
  readonly findings: readonly Finding[];
  /** What was looked at, for people. */
  readonly overview: Overview;
  /** What was not judged. */
  readonly notes: readonly Note[];
}

export type Overview = Readonly<Partial<Record<Section, string>>>;

function counted(count: number, what: string): readonly string[] {
  return count === 0 ? [] : [`${count} ${what}`];
}

/** Each address, and the owner of the attachment that lives with it. */
function addressesOfTheLiving(traces: readonly Trace[]): ReadonlyMap<string, string> {
  return new Map(
    traces
      .filter(livesIn)
      .flatMap(({ owner, record }) =>
        (record?.endpoint?.addresses ?? []).map((address) => [address.replace(/\/\d+$/, ""), owner] as const),
      ),
  );
}

export function inOrder(findings: readonly Finding[]): readonly Finding[] {
  return sections.flatMap((section) => findings.filter((finding) => finding.section === section));
}

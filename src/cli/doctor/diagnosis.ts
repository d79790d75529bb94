/** All that is wrong with a node, as a pure judgement on facts that were gathered before. */
import { ownerOf } from "../../cni/attachment.ts";
import type { Report, Snapshot } from "../../ipam/check.ts";
import type { Facts } from "../facts.ts";
import { judgeAddresses } from "./addresses.ts";
import { judgeAttachment, livesIn } from "./attachments.ts";
import { type CheckFacts, splitShared } from "./checks.ts";
import type { ExecutableFacts } from "./executables.ts";
import { type Finding, sections } from "./finding.ts";
import type { FirewallFacts } from "./firewall.ts";
import { judgeExecutables } from "./judge-executables.ts";
import { judgeNetworks } from "./judge-networks.ts";
import { type ForwardingFacts, judgeForwarding, judgeKernel, type KernelFacts, pluginsMissing } from "./kernel.ts";
import { judgeLeftovers } from "./leftovers.ts";
import type { LimitFacts } from "./limits.ts";
import type { NetworkFacts } from "./networks.ts";
import { judgeReadiness, type ReadinessFact } from "./readiness.ts";
import { type RecordFile, type Trace, tracesOf } from "./sandboxes.ts";
import { judgeState, type StateFacts } from "./state.ts";

/** What does not change while one looks. */
export interface Settled {
  readonly kernel: KernelFacts;
  readonly executables: ExecutableFacts;
  readonly networks: NetworkFacts;
  readonly readiness: readonly ReadinessFact[];
}

/** What is different at each look, for ADD and DEL go on. */
export interface Moving {
  readonly facts: Facts;
  readonly records: readonly RecordFile[];
  readonly snapshot: Snapshot;
  readonly report: Report;
  readonly firewall: FirewallFacts;
  readonly limits: LimitFacts;
  readonly state: StateFacts;
  readonly forwarding: ForwardingFacts;
  readonly checks: CheckFacts;
}

export function diagnoseSettled({ kernel, executables, networks, readiness }: Settled): readonly Finding[] {
  return [
    ...judgeKernel(kernel, networks),
    ...judgeExecutables(executables, networks),
    ...judgeNetworks(networks, executables),
    ...judgeReadiness(readiness, { plugins: pluginsMissing(kernel), executables: faultyExecutables(executables) }),
  ];
}

function faultyExecutables({ executables }: ExecutableFacts): ReadonlySet<string> {
  return new Set(executables.flatMap(({ name, path, fault }) => (path && fault === undefined ? [] : [name])));
}

/** `graceSeconds`: what is younger is not judged where a plugin that cannot be seen might be at work on it. */
export function diagnoseMoving(tools: Settled, moving: Moving, graceSeconds: number): readonly Finding[] {
  const { facts, snapshot, report, state, forwarding, checks } = moving;
  const traces = tracesOf(moving);
  const shared = splitShared(checks, traces, tools);
  const context = {
    node: snapshot.node,
    facts,
    tools,
    checks: shared.own,
    graceSeconds,
    living: addressesOfTheLiving(traces),
  };
  const attachments = traces.flatMap((trace) => judgeAttachment(trace, context));
  const left = new Set(
    attachments.filter(({ id }) => id === "attachment-left").map(({ subject }) => `tortie:${subject}`),
  );
  return [
    ...judgeForwarding(forwarding, traces),
    ...judgeState(state, graceSeconds),
    ...attachments,
    ...shared.findings,
    ...judgeLeftovers({ ...moving, ...context, traces, hasDead: left.size > 0 }),
    ...judgeAddresses(
      report,
      traces.filter(({ attachment }) => left.has(ownerOf(attachment))),
    ),
  ];
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

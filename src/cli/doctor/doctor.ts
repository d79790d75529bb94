/**
 * `tortie doctor`: looks at the node, tells what is wrong and which command mends it, and mends it when asked to.
 *
 *     look ─► judge ─► nothing: 0
 *                └───► look again, under the store's lock ─► what both looks have ─► --fix: mend ─► look again ─► 0 or 3
 *
 * **What is half-done is no wreck**: the first look takes no lock and disturbs nobody, and of what it finds only that counts which is still
 * so at the second.
 */
import { CniError, code } from "../../cni/error.ts";
import { checkIpam } from "../../ipam/check.ts";
import { withFileStore } from "../../store/lock.ts";
import type { Cli } from "../cli.ts";
import { CliError, type ExitStatus, exitStatus, messageOf } from "../error.ts";
import { gatherFacts } from "../facts.ts";
import { takeSnapshot } from "../snapshot.ts";
import { gatherChecks } from "./checks.ts";
import { diagnoseMoving, diagnoseSettled, inOrder, type Moving, type Settled } from "./diagnosis.ts";
import { gatherExecutables } from "./executables.ts";
import { type Finding, titleOf } from "./finding.ts";
import { gatherFirewall } from "./firewall.ts";
import { describeFix, perform } from "./fixing.ts";
import { gatherForwarding, gatherKernel } from "./kernel.ts";
import { gatherLimits } from "./limits.ts";
import { gatherLocks, judgeLocks, watchLocks } from "./locks.ts";
import { gatherNetworks, networksIn } from "./networks.ts";
import { describeFindings, reportOf } from "./report.ts";
import { gatherRecords, tracesOf } from "./sandboxes.ts";
import { gatherState } from "./state.ts";

export interface DoctorOptions {
  readonly fix?: boolean | undefined;
  readonly dryRun?: boolean | undefined;
  readonly output: "text" | "json";
  readonly confDir: string;
  readonly binDir: readonly string[];
  /** Seconds. */
  readonly grace: number;
}

/** What mends one thing may lay bare another: so often at most. */
const mostRounds = 4;

export async function doctorCommand(cli: Cli, options: DoctorOptions): Promise<ExitStatus> {
  const { fix = false, dryRun = false, output } = options;
  if (dryRun && !fix) throw new CliError("cannot run doctor: --dry-run is for --fix", exitStatus.usage);
  let findings = await examine(cli, options);
  if (fix && dryRun) rehearse(cli, findings);
  const failed = new Set<string>();
  for (let round = 0; fix && !dryRun && round < mostRounds; round++) {
    const due = findings.filter((finding) => finding.fix !== undefined && !failed.has(titleOf(finding)));
    if (due.length === 0) break;
    for (const title of await mendAll(cli, due, options)) failed.add(title);
    findings = await examine(cli, options);
  }
  cli.out(output === "json" ? reportOf(cli, findings) : describeFindings(findings, { fix, dryRun }));
  return findings.some(({ severity }) => severity === "error") ? exitStatus.problems : exitStatus.done;
}

async function examine(cli: Cli, options: DoctorOptions): Promise<readonly Finding[]> {
  const settled = await lookAtSettled(cli, options);
  const first = await lookAtMoving(cli, settled, options, (look) => look());
  const found = [...first.locks, ...first.findings];
  if (found.length === 0) return inOrder(diagnoseSettled(settled));
  const locked = first.locks.some(({ id }) => id === "lock-held");
  const second = await lookAtMoving(cli, settled, options, (look) => (locked ? look() : withStore(cli, look)));
  const again = new Set(second.findings.map(titleOf));
  const both = second.findings.filter((finding) => first.findings.some((one) => titleOf(one) === titleOf(finding)));
  cli.log.debug({ first: first.findings.length, second: again.size, both: both.length }, "looked twice");
  return inOrder([...diagnoseSettled(settled), ...first.locks, ...both]);
}

async function lookAtSettled(cli: Cli, { confDir, binDir }: DoctorOptions): Promise<Settled> {
  const networks = gatherNetworks(cli, confDir);
  const types = networksIn(networks).flatMap(({ plugins }) => plugins.map(({ type }) => type));
  const [kernel, executables] = await Promise.all([gatherKernel(cli), gatherExecutables(cli, binDir, types)]);
  return { kernel, executables, networks };
}

async function lookAtMoving(
  cli: Cli,
  settled: Settled,
  { grace }: DoctorOptions,
  locked: <T>(look: () => T) => T,
): Promise<{ readonly findings: readonly Finding[]; readonly locks: readonly Finding[] }> {
  const [facts, firewall, state] = await Promise.all([gatherFacts(cli), gatherFirewall(cli), gatherState(cli)]);
  const limits = await gatherLimits(cli, facts.hostLinks);
  const lookAtLocks = () => gatherLocks(cli, facts.processes, lockFilesOf(settled));
  const locks = judgeLocks(watchLocks(cli, lookAtLocks(), lookAtLocks));
  const { snapshot, records } = locked(() => ({
    snapshot: { ...takeSnapshot(cli, facts), graceNs: BigInt(Math.round(grace * 1e9)) },
    records: gatherRecords(cli),
  }));
  const report = checkIpam(snapshot);
  const forwarding = gatherForwarding(cli);
  const seen = { facts, records, snapshot, report, firewall, limits, state, forwarding };
  const checks = await gatherChecks(cli, tracesOf(seen), facts.processes, settled);
  const moving: Moving = { ...seen, checks };
  return { findings: diagnoseMoving(settled, moving, grace), locks };
}

function lockFilesOf({ networks }: Settled): readonly string[] {
  return networksIn(networks).flatMap(({ plugins }) =>
    plugins.flatMap(({ document: { ipam_lock_file: path } }) =>
      typeof path === "string" && path !== "" ? [path] : [],
    ),
  );
}

/** A lock that stays taken keeps the second look from nothing but its certainty. */
function withStore<T>(cli: Cli, look: () => T): T {
  try {
    return withFileStore(cli.sys, { timeoutMs: 10_000 }, look);
  } catch (error) {
    if (error instanceof CniError && error.code === code.tryAgainLater) return look();
    throw error;
  }
}

/** Returns the titles of what could not be mended. */
async function mendAll(cli: Cli, findings: readonly Finding[], { grace }: DoctorOptions): Promise<readonly string[]> {
  const failed: string[] = [];
  for (const finding of findings) {
    try {
      for (const done of await perform(cli, finding, BigInt(Math.round(grace * 1e9)))) cli.note(`tortie: ${done}`);
    } catch (error) {
      cli.note(`tortie: cannot mend ${finding.id} ${finding.subject}: ${messageOf(error)}`);
      failed.push(titleOf(finding));
    }
  }
  return failed;
}

function rehearse(cli: Cli, findings: readonly Finding[]): void {
  for (const { fix } of findings) {
    for (const done of fix === undefined ? [] : describeFix(fix)) cli.note(`tortie: ${done} (dry run)`);
  }
}

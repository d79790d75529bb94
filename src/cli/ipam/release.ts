/** `tortie ipam release`: releases one address, or the problems of reports that a new check confirms. */
import { CoreError } from "../../errors/core-error.ts";
import { confirmedProblems, repair } from "../../ipam/check/repair.ts";
import type { Allocation, Problem, Report } from "../../ipam/check/report.ts";
import { releaseIps } from "../../ipam/release/release-ips.ts";
import { canonicalAddress } from "../../net/address.ts";
import type { Transaction } from "../../store/transaction.ts";
import type { Cli } from "../cli.ts";
import { CliError, type ExitStatus, exitStatus } from "../error.ts";
import { withoutWrites } from "../resources/dry-run.ts";
import { writeStore } from "../store.ts";
import { type Looked, withLook } from "./look.ts";
import { readReport } from "./report-file.ts";

export interface ReleaseOptions {
  readonly ip?: string | undefined;
  readonly fromReport?: readonly string[] | undefined;
  readonly force?: boolean | undefined;
  readonly dryRun?: boolean | undefined;
}

export async function releaseCommand(cli: Cli, options: ReleaseOptions): Promise<ExitStatus> {
  const { ip, fromReport = [] } = options;
  if ((ip === undefined) === (fromReport.length === 0)) {
    throw new CliError("cannot release: wanted either --ip or --from-report", exitStatus.usage);
  }
  return ip === undefined ? releaseReported(cli, fromReport, options) : releaseAddress(cli, ip, options);
}

function dryOrNot<T>({ dryRun }: ReleaseOptions, transaction: Transaction<T>): Transaction<T> {
  return dryRun === true ? withoutWrites(transaction) : transaction;
}

async function releaseAddress(cli: Cli, text: string, options: ReleaseOptions): Promise<ExitStatus> {
  const address = canonicalAddress(text);
  if (address === undefined)
    throw new CliError(`cannot release "${text}": it is not a valid IP address`, exitStatus.usage);
  const owner = await withLook(cli, function* ({ report: { allocations } }) {
    const allocation = allocations.find((one) => one.address === address);
    if (allocation === undefined) throw new CliError(`cannot release ${address}: it is not assigned`);
    if (allocation.state !== "leaked" && options.force !== true) throw stillThere(allocation);
    const { handle, sequenceNumber } = allocation;
    const release = releaseIps([{ address, handle, sequenceNumber: BigInt(sequenceNumber) }]);
    const { errors } = yield* dryOrNot(options, release);
    for (const error of errors) throw error;
    return allocation.owner;
  });
  cli.out(`Successfully released IP address ${address}, of ${owner}${suffixOf(options)}\n`);
  return exitStatus.done;
}

function stillThere({ address, owner, state, reason }: Allocation): CliError {
  const how = state === "in use" ? "is in use by" : "may be in use by";
  return new CliError(`cannot release ${address}: it ${how} ${owner}: ${reason} (pass --force)`);
}

/**
 * How many addresses are released per hold of the store's lock: for a second or two, because ADDs wait for it.
 */
const leaksPerHold = 500;

async function releaseReported(cli: Cli, paths: readonly string[], options: ReleaseOptions): Promise<ExitStatus> {
  const reports: Report[] = [];
  for (const path of paths) reports.push(await readReport(cli, path, options.force === true));
  const { looked, later, counts } = await withLook(cli, function* (fresh) {
    const problems = confirmedProblems(reports, fresh.report);
    noteUnconfirmed(cli, reports, problems);
    cli.progress.begin("repairing", problems.length);
    const leaks = problems.filter(isLeak);
    const many = leaks.length > leaksPerHold && options.dryRun !== true;
    const now = many ? leaks.slice(0, leaksPerHold) : problems;
    const counts = yield* repairAll(cli, now, options, fresh);
    return { looked: fresh, later: many ? leaks.slice(leaksPerHold) : [], counts };
  });
  let sum = counts;
  for (let at = 0; at < later.length; at += leaksPerHold) {
    // A release is guarded by handle and sequence number, so the lock may have been released since the look.
    const batch = repairAll(cli, later.slice(at, at + leaksPerHold), options, looked);
    sum = add(sum, await writeStore(cli, batch));
  }
  if (later.length > 0) sum = add(sum, await repairOthers(cli, reports, options));
  cli.progress.end();
  const { repaired, failed } = sum;
  cli.out(`${repaired} of ${repaired + failed} confirmed problems repaired${suffixOf(options)}\n`);
  return failed === 0 ? exitStatus.done : exitStatus.failed;
}

function isLeak({ kind }: Problem): boolean {
  return kind === "leaked address";
}

/** Repairs problems other than leaks. They depend on all objects, so they need a new look after the lock was released. */
function repairOthers(cli: Cli, reports: readonly Report[], options: ReleaseOptions): Promise<Counts> {
  return withLook(cli, function* (fresh) {
    const problems = confirmedProblems(reports, fresh.report).filter((problem) => !isLeak(problem));
    return yield* repairAll(cli, problems, options, fresh);
  });
}

interface Counts {
  readonly repaired: number;
  readonly failed: number;
}

function add(one: Counts, other: Counts): Counts {
  return { repaired: one.repaired + other.repaired, failed: one.failed + other.failed };
}

function* repairAll(
  cli: Cli,
  problems: readonly Problem[],
  options: ReleaseOptions,
  looked: Looked,
): Transaction<Counts> {
  return yield* dryOrNot(options, repairEach(cli, problems, options, looked));
}

function* repairEach(
  cli: Cli,
  problems: readonly Problem[],
  options: ReleaseOptions,
  looked: Looked,
): Transaction<Counts> {
  let repaired = 0;
  for (const problem of problems) {
    cli.progress.tick();
    if (yield* repairOne(cli, problem, options, looked)) repaired++;
  }
  return { repaired, failed: problems.length - repaired };
}

function noteUnconfirmed(cli: Cli, reports: readonly Report[], problems: readonly Problem[]): void {
  const now = new Set(problems.map(titleOf));
  const gone = reports[0]?.problems.filter((problem) => !now.has(titleOf(problem))) ?? [];
  for (const problem of gone) cli.note(`tortie: left alone: ${titleOf(problem)}: no longer confirmed`);
}

/** Whether it was repaired; a failure is reported and does not stop the others. */
function* repairOne(
  cli: Cli,
  problem: Problem,
  options: ReleaseOptions,
  { report, snapshot }: Looked,
): Transaction<boolean> {
  const { kind, subject, reason } = problem;
  try {
    const done = yield* repair(problem, report, snapshot);
    if (done === undefined)
      cli.note(`tortie: cannot repair ${kind} ${subject}: it needs a manual decision: it ${reason}`);
    else cli.out(`${done}${suffixOf(options)}\n`);
    return done !== undefined;
  } catch (error) {
    if (!(error instanceof CoreError)) throw error;
    cli.note(`tortie: cannot repair ${kind} ${subject}: ${error.message}`);
    return false;
  }
}

function titleOf({ kind, subject }: Problem): string {
  return `${kind} ${subject}`;
}

function suffixOf({ dryRun }: ReleaseOptions): string {
  return dryRun === true ? " (dry run)" : "";
}

/** `tortie ipam release`: releases one address, or the problems of reports that a new check confirms. */
import { CoreError } from "../../errors/core-error.ts";
import { checkIpam } from "../../ipam/check/check.ts";
import { confirmedProblems, repair } from "../../ipam/check/repair.ts";
import type { Allocation, Problem, Report, Snapshot } from "../../ipam/check/report.ts";
import { releaseIps } from "../../ipam/release/release-ips.ts";
import { canonicalAddress } from "../../net/address.ts";
import { drive, type Store } from "../../store/transaction.ts";
import type { Cli } from "../cli.ts";
import { CliError, type ExitStatus, exitStatus } from "../error.ts";
import { gatherFacts } from "../node/facts.ts";
import { dryRunStore } from "../resources/dry-run-store.ts";
import { datastoreOf } from "../store.ts";
import { readReport } from "./report-file.ts";
import { takeSnapshot } from "./snapshot.ts";

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

/** Takes a new snapshot, and passes the locked store on with it. */
async function looking(
  cli: Cli,
  { dryRun = false }: ReleaseOptions,
  body: (store: Store, fresh: Report, snapshot: Snapshot) => ExitStatus,
): Promise<ExitStatus> {
  const facts = await gatherFacts(cli);
  return datastoreOf(cli).exclusively((store) => {
    const snapshot = takeSnapshot(cli, facts);
    return body(dryRun ? dryRunStore(store) : store, checkIpam(snapshot), snapshot);
  });
}

async function releaseAddress(cli: Cli, text: string, options: ReleaseOptions): Promise<ExitStatus> {
  const address = canonicalAddress(text);
  if (address === undefined)
    throw new CliError(`cannot release "${text}": it is not a valid IP address`, exitStatus.usage);
  return looking(cli, options, (store, { allocations }) => {
    const allocation = allocations.find((one) => one.address === address);
    if (allocation === undefined) throw new CliError(`cannot release ${address}: it is not assigned`);
    if (allocation.state !== "leaked" && options.force !== true) throw stillThere(allocation);
    const { handle, sequenceNumber } = allocation;
    const { errors } = drive(releaseIps([{ address, handle, sequenceNumber: BigInt(sequenceNumber) }]), store);
    for (const error of errors) throw error;
    cli.out(`Successfully released IP address ${address}, of ${allocation.owner}${suffixOf(options)}\n`);
    return exitStatus.done;
  });
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
  const reports = paths.map((path) => readReport(cli, path, options.force === true));
  let later: readonly ((store: Store) => boolean)[] = [];
  let counts: Counts = { repaired: 0, failed: 0 };
  await looking(cli, options, (store, fresh, snapshot) => {
    const problems = confirmedProblems(reports, fresh);
    noteUnconfirmed(cli, reports, problems);
    cli.progress.begin("repairing", problems.length);
    const repairNow = (problem: Problem) =>
      repairOne(cli, problem, options, () => repair(problem, fresh, snapshot), store);
    const leaks = problems.filter(({ kind }) => kind === "leaked address");
    const many = leaks.length > leaksPerHold && options.dryRun !== true;
    counts = countsOf(
      cli,
      (many ? leaks.slice(0, leaksPerHold) : problems).map((problem) => () => repairNow(problem)),
    );
    if (many) {
      // A release is guarded by handle and sequence number, so the lock may have been released since the snapshot.
      later = leaks
        .slice(leaksPerHold)
        .map((problem) => (own) => repairOne(cli, problem, options, () => repair(problem, fresh, snapshot), own));
    }
    return exitStatus.done;
  });
  for (let at = 0; at < later.length; at += leaksPerHold) {
    const batch = later.slice(at, at + leaksPerHold);
    const { repaired, failed } = datastoreOf(cli).exclusively((store) =>
      countsOf(
        cli,
        batch.map((step) => () => step(store)),
      ),
    );
    counts = { repaired: counts.repaired + repaired, failed: counts.failed + failed };
  }
  const others = later.length > 0 ? await repairOthers(cli, reports, options) : { repaired: 0, failed: 0 };
  cli.progress.end();
  const repaired = counts.repaired + others.repaired;
  const failed = counts.failed + others.failed;
  cli.out(`${repaired} of ${repaired + failed} confirmed problems repaired${suffixOf(options)}\n`);
  return failed === 0 ? exitStatus.done : exitStatus.failed;
}

/** Repairs problems other than leaks. They depend on all objects, so they need a new snapshot after the lock was released. */
async function repairOthers(cli: Cli, reports: readonly Report[], options: ReleaseOptions): Promise<Counts> {
  let counts: Counts = { repaired: 0, failed: 0 };
  await looking(cli, options, (store, fresh, snapshot) => {
    const problems = confirmedProblems(reports, fresh).filter(({ kind }) => kind !== "leaked address");
    const steps = problems.map(
      (problem) => () => repairOne(cli, problem, options, () => repair(problem, fresh, snapshot), store),
    );
    counts = countsOf(cli, steps);
    return exitStatus.done;
  });
  return counts;
}

interface Counts {
  readonly repaired: number;
  readonly failed: number;
}

function countsOf(cli: Cli, steps: readonly (() => boolean)[]): Counts {
  let repaired = 0;
  for (const step of steps) {
    cli.progress.tick();
    if (step()) repaired++;
  }
  return { repaired, failed: steps.length - repaired };
}

function noteUnconfirmed(cli: Cli, reports: readonly Report[], problems: readonly Problem[]): void {
  const now = new Set(problems.map(titleOf));
  const gone = reports[0]?.problems.filter((problem) => !now.has(titleOf(problem))) ?? [];
  for (const problem of gone) cli.note(`tortie: left alone: ${titleOf(problem)}: no longer confirmed`);
}

/** Whether it was repaired; a failure is reported and does not stop the others. */
function repairOne(
  cli: Cli,
  { kind, subject, reason }: Problem,
  options: ReleaseOptions,
  transaction: () => ReturnType<typeof repair>,
  store: Store,
): boolean {
  try {
    const done = drive(transaction(), store);
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

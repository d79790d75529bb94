/**
 * `tortie doctor`: looks at the node, tells what is wrong and which command mends it, and mends it when asked to.
 *
 *     look ─► judge ─► nothing: 0
 *                └───► look again, under the store's lock ─► what both looks have ─► --fix: mend ─► look again ─► 0 or 3
 *
 * **What is half-done is no wreck**: the first look takes no lock and disturbs nobody, and of what it finds only that counts which is still
 * so at the second.
 */
import type { Cli } from "../cli.ts";
import { CliError, type ExitStatus, exitStatus, messageOf } from "../error.ts";
import { type Diagnosis, diagnoseMoving, diagnoseSettled, inOrder, type Moving } from "./diagnosis.ts";
import { type Finding, titleOf, titleOfNote } from "./finding.ts";
import { describeFix, perform } from "./fixing.ts";
import { judgeLocks, type LockFacts } from "./locks.ts";
import { graceNs, lookAtMoving, lookAtSettled, type Where } from "./look.ts";
import { gatherReadiness } from "./readiness.ts";
import { type Done, describeDiagnosis, reportOf } from "./report.ts";

export interface DoctorOptions extends Where {
  readonly fix?: boolean | undefined;
  readonly dryRun?: boolean | undefined;
  readonly output: "text" | "json";
}

/** What mends one thing may lay bare another: so often at most. */
const mostRounds = 4;

export async function doctorCommand(cli: Cli, options: DoctorOptions): Promise<ExitStatus> {
  const { fix = false, dryRun = false, output } = options;
  if (dryRun && !fix) throw new CliError("cannot run doctor: --dry-run is for --fix", exitStatus.usage);
  const tell = (line: string) => (output === "json" ? undefined : cli.out(`${line}\n`));
  let diagnosis = await examine(cli, options);
  let done: Done = { mended: [], failed: [] };
  if (dryRun) rehearse(diagnosis.findings, tell);
  else if (fix) ({ diagnosis, done } = await mendUntilWell(cli, diagnosis, options, tell));
  const { findings } = diagnosis;
  cli.out(output === "json" ? reportOf(cli, diagnosis, done) : describeDiagnosis(diagnosis, { offer: !fix || dryRun }));
  return findings.some(({ severity }) => severity === "error") ? exitStatus.problems : exitStatus.done;
}

async function examine(cli: Cli, where: Where): Promise<Diagnosis> {
  const { locks, ...settled } = await lookAtSettled(cli, where);
  const look = (locked: boolean) => lookAtMoving(cli, settled, where, locked);
  const judge = (moving: Moving) => diagnoseMoving(settled, moving, where.graceSeconds);
  const seen = await look(false);
  const first = judge(seen);
  const isClear = first.findings.length === 0 && first.notes.length === 0;
  const last = isClear ? first : judge(await look(locks.held.length === 0));
  const titles = new Set(first.findings.map(titleOf));
  const confirmed = last.findings.filter((finding) => titles.has(titleOf(finding)));
  const told = new Set(first.notes.map(titleOfNote));
  const readiness = mayAsk(locks, seen) ? await gatherReadiness(cli, settled.networks, settled.executables) : [];
  const certain = diagnoseSettled(settled, readiness);
  return {
    findings: inOrder([...certain.findings, ...judgeLocks(locks), ...confirmed]),
    overview: { ...certain.overview, ...last.overview },
    notes: [...certain.notes, ...last.notes.filter((note) => told.has(titleOfNote(note)))],
  };
}

/** A plugin that is asked whether it is ready waits for locks, and mends the damage that it meets. */
function mayAsk({ held }: LockFacts, { report }: Moving): boolean {
  return (
    held.length === 0 && !report.problems.some(({ kind }) => kind === "damaged object" || kind === "malformed block")
  );
}

async function mendUntilWell(
  cli: Cli,
  first: Diagnosis,
  where: Where,
  tell: (line: string) => void,
): Promise<{ readonly diagnosis: Diagnosis; readonly done: Done }> {
  const mended: string[] = [];
  const failed = new Map<string, string>();
  let diagnosis = first;
  for (let round = 0; round < mostRounds; round++) {
    const due = diagnosis.findings.filter((finding) => finding.fix !== undefined && !failed.has(titleOf(finding)));
    if (due.length === 0) break;
    for (const finding of due) {
      try {
        const lines = await perform(cli, finding, graceNs(where));
        for (const line of lines) tell(line);
        mended.push(...lines);
      } catch (error) {
        const reason = `cannot mend ${titleOf(finding)}: ${messageOf(error)}`;
        cli.note(`tortie: ${reason}`);
        // One that cannot be mended does not keep the others.
        failed.set(titleOf(finding), reason);
      }
    }
    diagnosis = await examine(cli, where);
  }
  return { diagnosis, done: { mended, failed: [...failed.values()] } };
}

function rehearse(findings: readonly Finding[], tell: (line: string) => void): void {
  for (const { fix } of findings)
    for (const line of fix === undefined ? [] : describeFix(fix)) tell(`${line} (dry run)`);
}

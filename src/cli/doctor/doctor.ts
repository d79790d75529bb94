/**
 * `tortie doctor`: checks the node, reports problems with the commands that repair them, and repairs them on request.
 *
 *     look ─► check ─► nothing: 0
 *                └───► look again, under the store's lock ─► findings of both looks ─► --fix: repair ─► look again ─► 0 or 3
 *
 * **An operation in progress is not a problem**: the first look takes no lock and delays no operation, and only the findings that the second look
 * confirms count.
 */
import type { Cli } from "../cli.ts";
import { CliError, type ExitStatus, exitStatus, messageOf } from "../error.ts";
import { didYouMean } from "../suggest.ts";
import { type ChangingFacts, type Diagnosis, diagnoseChanging, diagnoseStatic, inOrder } from "./diagnosis.ts";
import { type Finding, type Note, type Step, titleOf, titleOfNote } from "./finding.ts";
import { applyFix, describeFix } from "./fixing.ts";
import { checkLocks, type LockFacts } from "./locks.ts";
import { type DiagnosisOptions, gatherChanging, gatherStatic, graceNs } from "./look.ts";
import { gatherReadiness } from "./readiness.ts";
import { type Done, describeDiagnosis, reportOf, summarise } from "./report.ts";

export interface DoctorOptions extends DiagnosisOptions {
  readonly fix?: boolean | undefined;
  readonly dryRun?: boolean | undefined;
  /** The IDs of the findings to repair; absent: all. */
  readonly only?: readonly string[] | undefined;
  readonly verbose?: boolean | undefined;
  readonly output: "text" | "json";
}

/** Fixing one problem can reveal another; the maximum number of rounds. */
const maxRounds = 4;

export async function doctorCommand(cli: Cli, options: DoctorOptions): Promise<ExitStatus> {
  const { fix = false, dryRun = false, only = [], verbose = false, output } = options;
  if (dryRun && !fix) throw new CliError("cannot run doctor: --dry-run is for --fix", exitStatus.usage);
  if (only.length > 0 && !fix) throw new CliError("cannot run doctor: --only is for --fix", exitStatus.usage);
  const tell = (steps: readonly Step[]) => {
    const lines = verbose ? steps.map(({ text }) => text) : summarise(steps);
    if (output === "text") for (const line of lines) cli.out(`${line}\n`);
  };
  let diagnosis = await examine(cli, options);
  for (const id of only) noteAbsent(cli, id, diagnosis);
  let done: Done = { repaired: [], failed: [] };
  if (dryRun) tell(rehearse(dueOf(diagnosis, only)));
  else if (fix) ({ diagnosis, done } = await repairUntilWell(cli, diagnosis, options, tell));
  const { findings } = diagnosis;
  const view = { offer: !fix || dryRun, verbose, colours: cli.terminal.colours };
  cli.out(output === "json" ? reportOf(cli, diagnosis, done) : describeDiagnosis(diagnosis, view));
  return findings.some(({ severity }) => severity === "error") ? exitStatus.problems : exitStatus.done;
}

/** The requested finding does not exist: it was repaired meanwhile, or its ID is misspelt. */
function noteAbsent(cli: Cli, id: string, { findings }: Diagnosis): void {
  const found = [...new Set(findings.map((finding) => finding.id))];
  if (!found.includes(id)) cli.note(`tortie: there is no problem with id "${id}"${didYouMean(id, found)}`);
}

async function examine(cli: Cli, where: DiagnosisOptions): Promise<Diagnosis> {
  const { locks, ...settled } = await gatherStatic(cli, where);
  const look = (locked: boolean) => gatherChanging(cli, settled, where, locked);
  const check = (moving: ChangingFacts) => diagnoseChanging(settled, moving, where.graceSeconds);
  const seen = await look(false);
  const first = check(seen);
  const isClear = first.findings.length === 0 && first.notes.length === 0;
  const last = isClear ? first : check(await look(locks.held.length === 0));
  const titles = new Set(first.findings.map(titleOf));
  const confirmed = last.findings.filter((finding) => titles.has(titleOf(finding)));
  const known = new Set(first.notes.map(titleOfNote));
  const mayAsk = notAsked(locks, seen).length === 0;
  const readiness = mayAsk ? await gatherReadiness(cli, settled.networks, settled.executables) : [];
  const certain = diagnoseStatic(settled, readiness);
  return {
    findings: inOrder([...certain.findings, ...checkLocks(locks), ...confirmed]),
    overview: { ...certain.overview, ...last.overview },
    notes: [...certain.notes, ...notAsked(locks, seen), ...last.notes.filter((note) => known.has(titleOfNote(note)))],
  };
}

/** Why STATUS is not called: it waits for locks, and repairs the damage that it meets. */
function notAsked({ held }: LockFacts, { report }: ChangingFacts): readonly Note[] {
  const isDamaged = report.problems.some(({ kind }) => kind === "damaged object" || kind === "malformed block");
  const why =
    held.length > 0
      ? "each would wait for the held lock"
      : isDamaged
        ? "each would repair the damage that is reported under addresses"
        : undefined;
  if (why === undefined) return [];
  const text = `STATUS of the plugins was not called, because ${why}`;
  return [{ section: "networks", subject: "", text }];
}

async function repairUntilWell(
  cli: Cli,
  first: Diagnosis,
  { only = [], ...where }: DoctorOptions,
  tell: (steps: readonly Step[]) => void,
): Promise<{ readonly diagnosis: Diagnosis; readonly done: Done }> {
  const repaired: string[] = [];
  const failed = new Map<string, string>();
  let diagnosis = first;
  for (let round = 0; round < maxRounds; round++) {
    const due = dueOf(diagnosis, only).filter((finding) => !failed.has(titleOf(finding)));
    if (due.length === 0) break;
    const steps: Step[] = [];
    for (const finding of due) {
      try {
        steps.push(...(await applyFix(cli, finding, graceNs(where))));
      } catch (error) {
        const reason = `cannot repair ${titleOf(finding)}: ${messageOf(error)}`;
        cli.note(`tortie: ${reason}`);
        // A failed repair does not prevent the others.
        failed.set(titleOf(finding), reason);
      }
    }
    tell(steps);
    repaired.push(...steps.map(({ text }) => text));
    diagnosis = await examine(cli, where);
  }
  return { diagnosis, done: { repaired, failed: [...failed.values()] } };
}

/** The findings of these kinds that can be repaired. */
function dueOf({ findings }: Diagnosis, only: readonly string[]): readonly Finding[] {
  return findings.filter(({ id, fix }) => fix !== undefined && (only.length === 0 || only.includes(id)));
}

/** For a dry run. Findings that a repair would reveal are unknown here; --fix looks again after each round. */
function rehearse(findings: readonly Finding[]): readonly Step[] {
  const steps = findings.flatMap(({ fix }) => (fix === undefined ? [] : describeFix(fix)));
  const more = "checked again, and repaired what these repairs revealed";
  return (steps.length === 0 ? [] : [...steps, { kind: more, text: more }]).map(({ kind, text }) => ({
    kind,
    text: `${text} (dry run)`,
  }));
}

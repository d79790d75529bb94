/** The problems with addresses that a command can repair: each repair is tried without its writes. */

import { repair } from "../../ipam/check/repair.ts";
import type { Problem, Report, Snapshot } from "../../ipam/check/report.ts";
import { drive, type Transaction } from "../../store/transaction.ts";
import type { Cli } from "../cli.ts";
import { withoutWrites } from "../resources/dry-run.ts";
import { datastoreOf } from "../store.ts";

/** An operator must decide on the others. */
export function repairableProblems(cli: Cli, report: Report, snapshot: Snapshot): ReadonlySet<Problem> {
  return drive(withoutWrites(repairAll(report, snapshot)), datastoreOf(cli).store);
}

function* repairAll(report: Report, snapshot: Snapshot): Transaction<ReadonlySet<Problem>> {
  const repairable = new Set<Problem>();
  for (const problem of report.problems) {
    try {
      if ((yield* repair(problem, report, snapshot)) !== undefined) repairable.add(problem);
    } catch {
      // The store has changed since the look, or rejects writes for now: the repair itself looks again, and reports why.
      repairable.add(problem);
    }
  }
  return repairable;
}

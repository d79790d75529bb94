/** Which problems with addresses can be repaired by a command: each repair is tried on a store that keeps nothing. */

import { repair } from "../../ipam/check/repair.ts";
import type { Problem, Report, Snapshot } from "../../ipam/check/report.ts";
import { drive } from "../../store/transaction.ts";
import type { Cli } from "../cli.ts";
import { dryRunStore } from "../resources/dry-run-store.ts";
import { datastoreOf } from "../store.ts";

/** The rest is for a person to decide. */
export function repairableProblems(cli: Cli, report: Report, snapshot: Snapshot): ReadonlySet<Problem> {
  const store = dryRunStore(datastoreOf(cli).store);
  return new Set(
    report.problems.filter((problem) => {
      try {
        return drive(repair(problem, report, snapshot), store) !== undefined;
      } catch {
        // The store has changed since the look, or refuses for now: what is done in earnest looks again, and says why.
        return true;
      }
    }),
  );
}

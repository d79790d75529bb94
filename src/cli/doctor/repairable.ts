/** The problems with addresses that a command can repair: each repair is tried on a store that discards its writes. */

import { repair } from "../../ipam/check/repair.ts";
import type { Problem, Report, Snapshot } from "../../ipam/check/report.ts";
import { drive } from "../../store/transaction.ts";
import type { Cli } from "../cli.ts";
import { dryRunStore } from "../resources/dry-run-store.ts";
import { datastoreOf } from "../store.ts";

/** An operator must decide on the others. */
export function repairableProblems(cli: Cli, report: Report, snapshot: Snapshot): ReadonlySet<Problem> {
  const store = dryRunStore(datastoreOf(cli).store);
  return new Set(
    report.problems.filter((problem) => {
      try {
        return drive(repair(problem, report, snapshot), store) !== undefined;
      } catch {
        // The store has changed since the look, or rejects writes for now: the repair itself looks again, and reports why.
        return true;
      }
    }),
  );
}

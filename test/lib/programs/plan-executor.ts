/**
 * A program for the native host that applies a plan from standard input, as a plugin would, and prints what `diff` finds afterwards.
 *
 * In:  `{"plan": …, "netns": "/run/netns/a"}`      Out: `{"differences": ["…"]}`
 */
import { withExecutor } from "../../../src/dataplane/executor.ts";
import type { Sys } from "../../../src/host/sys.ts";
import type { Plan } from "../../../src/plan/resource.ts";

export interface PlanJob {
  readonly plan: Plan;
  /** Absent: the plan has no resource in the sandbox. */
  readonly netns?: string;
}

export interface PlanAnswer {
  readonly differences: readonly string[];
}

const maxBytes = 1 << 22;

export function runPlanExecutor(sys: Sys): void {
  const { plan, netns } = JSON.parse(sys.readStdin(maxBytes, 10_000)) as PlanJob;
  const sandbox = netns === undefined ? undefined : sys.openNetns(netns);
  withExecutor(sys, sandbox, (executor) => executor.apply(plan));
  const differences = withExecutor(sys, sandbox, (executor) => executor.diff(plan));
  const answer: PlanAnswer = { differences: differences.map(({ text }) => text) };
  sys.write("stdout", JSON.stringify(answer));
  sys.exit(0);
}

/**
 * A program for the native host that applies a plan from standard input, as a plugin would, and answers what `diff` finds afterwards.
 *
 * In:  `{"plan": …, "netns": "/run/netns/a"}`      Out: `{"differences": ["…"]}`
 */
import { apply } from "../../../src/dataplane/apply.ts";
import { diff } from "../../../src/dataplane/diff.ts";
import type { Sys } from "../../../src/host/sys.ts";
import type { Plan } from "../../../src/plan/resource.ts";

export interface PlanJob {
  readonly plan: Plan;
  /** Absent: nothing in the plan is at the sandbox. */
  readonly netns?: string;
}

export interface PlanAnswer {
  readonly differences: readonly string[];
}

const maxBytes = 1 << 22;

export function runPlanExecutor(sys: Sys): void {
  const { plan, netns } = JSON.parse(sys.readStdin(maxBytes, 10_000)) as PlanJob;
  const scene = { sys, ...(netns !== undefined && { sandbox: sys.openNetns(netns) }) };
  apply(plan, scene);
  const answer: PlanAnswer = { differences: diff(plan, scene).map(({ text }) => text) };
  sys.write("stdout", JSON.stringify(answer));
  sys.exit(0);
}

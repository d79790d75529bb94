/** The plugins that can plan an ADD. */
import { planners as known } from "#plugins/planners";
import type { PlanFacts, Planned } from "../../plugin/planned.ts";
import { addRequest, type Source } from "../../plugin/request.ts";

export type Planner = (source: Source, facts: PlanFacts) => Planned;

/** By `type`. */
export const planners: Readonly<Record<string, Planner>> = Object.fromEntries(
  Object.entries(known).map(([type, { parseConf, planAdd }]) => [
    type,
    (source: Source, facts: PlanFacts) => planAdd(addRequest(source, parseConf), facts),
  ]),
);

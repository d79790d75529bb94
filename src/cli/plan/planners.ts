/** The plugins that tell what their ADD would make. */

import { parseConf as parseBandwidth } from "../../../plugins/bandwidth/conf.ts";
import { planAdd as planBandwidth } from "../../../plugins/bandwidth/plan.ts";
import { parseConf as parseCalico } from "../../../plugins/calico/conf.ts";
import { planAdd as planCalico } from "../../../plugins/calico/plan.ts";
import { planAdd as planLoopback } from "../../../plugins/loopback/plan.ts";
import { parseConf as parsePortmap } from "../../../plugins/portmap/conf.ts";
import { planAdd as planPortmap } from "../../../plugins/portmap/plan.ts";
import type { PlanAdd, PlanFacts, Planned } from "../../plugin/planned.ts";
import type { ParseConf } from "../../plugin/plugin.ts";
import { addRequest, type Source } from "../../plugin/request.ts";

export type Planner = (source: Source, facts: PlanFacts) => Planned;

export const planners: Readonly<Record<string, Planner>> = {
  calico: planner(parseCalico, planCalico),
  bandwidth: planner(parseBandwidth, planBandwidth),
  portmap: planner(parsePortmap, planPortmap),
  loopback: planner(() => ({}), planLoopback),
};

function planner<Conf>(parseConf: ParseConf<Conf>, planAdd: PlanAdd<Conf>): Planner {
  return (source, facts) => planAdd(addRequest(source, parseConf), facts);
}

/** What an ADD would make, told without making it: the answer of a plugin to `tortie plan`. */
import type { Result } from "../cni/result.ts";
import type { Sys } from "../host/sys.ts";
import type { Plan } from "../plan/resource.ts";
import type { AddRequest } from "./plugin.ts";

export interface Planned {
  readonly plan: Plan;
  /** As the next plugin of the chain gets it; what only the kernel knows (an ifb's MAC address) is left out. */
  readonly result: Result;
}

/** What a plugin may look at. */
export interface PlanFacts {
  /** Nothing is written by it. */
  readonly sys: Sys;
  /** The networks that the node itself is in, as prefixes. */
  readonly networks: readonly string[];
  /** The answer of the IPAM plugin that a main plugin delegates to. */
  readonly ipam: Result;
}

export type PlanAdd<Conf> = (request: AddRequest<Conf>, facts: PlanFacts) => Planned;

/** What an ADD would create: a plugin's answer to `tortie plan`. */
import type { Result } from "../cni/result.ts";
import type { Sys } from "../host/sys.ts";
import type { Plan } from "../plan/resource.ts";
import type { AddRequest } from "./plugin.ts";

export interface Planned {
  readonly plan: Plan;
  /** The result for the next plugin of the chain, without values that only the kernel knows (an ifb's MAC address). */
  readonly result: Result;
}

/** The inputs of a planning plugin. */
export interface PlanFacts {
  /** Does not write. */
  readonly sys: Sys;
  /** The prefixes of the node's own networks. */
  readonly networks: readonly string[];
  /** The result of the IPAM plugin that a main plugin delegates to. */
  readonly ipam: Result;
}

export type PlanAdd<Conf> = (request: AddRequest<Conf>, facts: PlanFacts) => Planned;

import type { Difference, Plan } from "../plan/resource.ts";
import type { Scene } from "./dataplane.ts";

/** What the plan says and the kernel does not hold. Changes nothing. */
export function diff(plan: Plan, scene: Scene): readonly Difference[] {
  throw new Error(`${plan.owner}${scene.sys}`);
}

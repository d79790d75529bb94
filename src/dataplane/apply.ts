import type { Plan } from "../plan/resource.ts";
import type { Applied, Scene } from "./dataplane.ts";

export interface ApplyOptions {
  /** Whether a host link with this alias may be taken away to make room: it belonged to an earlier sandbox of the same pod. */
  readonly mayReplace?: (alias: string) => boolean;
}

/** Makes the kernel hold what the plan says; a repeated call is harmless. Takes back what it created when it fails (`CniError` 100). */
export function apply(plan: Plan, scene: Scene, options: ApplyOptions = {}): Applied {
  throw new Error(`${plan.owner}${scene.sys}${options.mayReplace}`);
}

import type { Plan } from "./resource.ts";

/** The commands that do what `apply` does, in its order. The sandbox is the file that `$CNI_NETNS` names. */
export function show(plan: Plan): readonly string[] {
  throw new Error(plan.owner);
}

/** The order in which a plan is applied, compared and shown. */
import { phaseOf, type Resource } from "./resource.ts";

/** By phase; routes without a gateway before the others, because a gateway must be reachable first. Stable otherwise. */
export function inOrder(resources: readonly Resource[]): readonly Resource[] {
  const byRank: Resource[][] = [];
  for (const resource of resources) {
    const at = rank(resource);
    byRank[at] ??= [];
    byRank[at].push(resource);
  }
  // Skips ranks without resources.
  return byRank.flat();
}

const lastRank = 2 * (1 + Math.max(...Object.values(phaseOf)));

function rank(resource: Resource): number {
  if (resource.kind === "sysctl" && resource.afterFirewall) return lastRank;
  const late = resource.kind === "route" && resource.gateway !== undefined;
  return (phaseOf[resource.kind] ?? 0) * 2 + (late ? 1 : 0);
}

/** What turns one plan into another. */
import { identityOf } from "../../plan/identity.ts";
import type { NodePlan, NodeResource } from "../../plan/node-plan.ts";

export interface PlanChange {
  readonly add: readonly NodeResource[];
  readonly remove: readonly NodeResource[];
}

/** A plan by the identities of its resources. */
export interface IndexedPlan {
  readonly scopes: string;
  readonly resources: ReadonlyMap<string, NodeResource>;
}

export function indexPlan({ resources, scopes }: NodePlan): IndexedPlan {
  return {
    scopes: JSON.stringify(scopes),
    resources: new Map(resources.map((resource) => [identityOf(resource), resource])),
  };
}

/** `undefined`: their scopes differ, and the whole plan is to be told. */
export function changeBetween(before: IndexedPlan, after: IndexedPlan): PlanChange | undefined {
  if (before.scopes !== after.scopes) return undefined;
  const add: NodeResource[] = [];
  const remove: NodeResource[] = [];
  for (const [identity, resource] of after.resources) {
    const former = before.resources.get(identity);
    if (former === undefined || !isSame(former, resource)) add.push(resource);
  }
  for (const [identity, resource] of before.resources) {
    if (!after.resources.has(identity)) remove.push(resource);
  }
  return { add, remove };
}

/** Most resources are flat: to compare their fields takes a fraction of the time that their texts would. */
function isSame(one: NodeResource, other: NodeResource): boolean {
  const [some, others] = [one, other] as unknown as readonly Readonly<Record<string, unknown>>[];
  for (const name in some) {
    const [value, found] = [some[name], others?.[name]];
    if (value !== found && (typeof value !== "object" || JSON.stringify(value) !== JSON.stringify(found))) return false;
  }
  return Object.keys(one).length === Object.keys(other).length;
}

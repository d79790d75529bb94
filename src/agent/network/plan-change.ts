/** What turns one plan into another. */
import { identityOf } from "../../plan/identity.ts";
import type { NodePlan, NodeResource } from "../../plan/node-plan.ts";

export interface PlanChange {
  readonly add: readonly NodeResource[];
  readonly remove: readonly NodeResource[];
}

/** A plan by the identities of its resources, each with its text: two resources with one text are the same. */
export interface IndexedPlan {
  readonly plan: NodePlan;
  readonly scopes: string;
  readonly resources: ReadonlyMap<string, { readonly resource: NodeResource; readonly text: string }>;
}

export function indexPlan(plan: NodePlan): IndexedPlan {
  const resources = new Map(
    plan.resources.map((resource) => [identityOf(resource), { resource, text: JSON.stringify(resource) }]),
  );
  return { plan, scopes: JSON.stringify(plan.scopes), resources };
}

/** `undefined`: their scopes differ, and the whole plan is to be told. */
export function changeBetween(before: IndexedPlan, after: IndexedPlan): PlanChange | undefined {
  if (before.scopes !== after.scopes) return undefined;
  const add: NodeResource[] = [];
  const remove: NodeResource[] = [];
  for (const [identity, { resource, text }] of after.resources) {
    if (before.resources.get(identity)?.text !== text) add.push(resource);
  }
  for (const [identity, { resource }] of before.resources) {
    if (!after.resources.has(identity)) remove.push(resource);
  }
  return { add, remove };
}

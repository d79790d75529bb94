/** A change of a plan that the kernel holds: nothing is read but what the kernel refuses. */
import { identityOf } from "../../plan/identity.ts";
import type { NodeResource, Scope } from "../../plan/node-plan.ts";
import type { EntryResource } from "./entries.ts";
import { forgetMovedFlows } from "./flows.ts";
import { routeMembership } from "./members.ts";
import type { Pass } from "./pass.ts";
import { destinationOf, isEntry, isTunnel, linksOf, wantedEntries } from "./reconcile.ts";
import { changeEntries } from "./reconcile-entries.ts";
import { changeSet, makeTables } from "./tables.ts";

export interface PlanChange {
  /** By identity. */
  readonly before: ReadonlyMap<string, NodeResource>;
  readonly after: ReadonlyMap<string, NodeResource>;
  readonly scopes: readonly Scope[];
  /** What the change names. */
  readonly touched: readonly NodeResource[];
}

/** `false`, without having done anything, for a change of what other resources rely on. */
export function changePlan({ before, after, scopes, touched }: PlanChange, pass: Pass): boolean {
  const identities = [...new Set(touched.map(identityOf))].filter(
    (identity) => JSON.stringify(before.get(identity)) !== JSON.stringify(after.get(identity)),
  );
  const changed = identities.flatMap((identity) => [before.get(identity) ?? [], after.get(identity) ?? []].flat());
  if (!changed.every((one) => isEntry(one) || one.kind === "nft-elements")) return false;
  if (changed.some((one) => one.kind === "nft-elements" && !after.has(identityOf(one)))) return false;
  pass.learnLinks([...[...after.values()].filter(isTunnel), ...changed].flatMap(linksOf));
  pass.learnLinks(scopes.flatMap((scope) => (scope.kind === "link" ? [scope.link] : [])));
  changeElements({ before, after, scopes, touched }, identities, pass);
  const entries = (from: ReadonlyMap<string, NodeResource>) =>
    identities.flatMap((identity): readonly EntryResource[] => {
      const one = from.get(identity);
      return one !== undefined && isEntry(one) ? [one] : [];
    });
  const wanted = wantedEntries(entries(after), pass);
  const isMember = routeMembership(scopes, pass);
  const changes = wanted.map((entry) => ({ entry, replaces: before.has(entry.identity) }));
  const done = changeEntries(changes, isMember, pass);
  const gone = wantedEntries(
    entries(before).filter((one) => !after.has(identityOf(one)) && linksOf(one).every((link) => pass.link(link))),
    pass,
  );
  pass.remove([...gone].reverse().map(({ what, removal }) => ({ what, request: removal() })));
  const moved = [...done.filter(({ identity }) => before.has(identity)), ...gone];
  forgetMovedFlows(moved.flatMap(destinationOf), pass);
  return true;
}

/** By the elements that the two plans have, if the kernel holds the former one; otherwise by what it holds. */
function changeElements({ before, after, scopes }: PlanChange, identities: readonly string[], pass: Pass): void {
  const all = [...after.values()].filter((one) => one.kind === "nft-table" || one.kind === "nft-elements");
  for (const identity of identities) {
    const [former, now] = [before.get(identity), after.get(identity)];
    if (now?.kind !== "nft-elements") continue;
    if (former?.kind === "nft-elements" && changeSet(former, now, all, pass)) continue;
    const isInTable = (one: (typeof all)[number]) =>
      one.family === now.family && (one.kind === "nft-table" ? one.name : one.table) === now.table;
    makeTables(all.filter(isInTable), scopes, pass);
  }
}

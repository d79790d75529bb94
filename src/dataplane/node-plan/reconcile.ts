/**
 * Makes the kernel hold a node's plan.
 *
 *     sysctls ─▶ nf_tables ─▶ tunnel devices ─▶ one dump per table ─▶ addresses, neighbours, FDB entries, routes ─▶ removals ─▶ flows
 *
 * Whatever is added comes before whatever is removed, so that an address that moves is reachable throughout; and the firewall before the devices.
 * A failure of one resource does not keep the others from being applied. A pass that was killed leaves what the next one finds.
 */
import { identityOf } from "../../plan/identity.ts";
import type { NodePlan, NodeResource, Scope, TunnelLink } from "../../plan/node-plan.ts";
import {
  describeEntry,
  type EntryResource,
  entryKinds,
  type FoundEntry,
  type WantedEntry,
  wantedEntry,
} from "./entries.ts";
import { forgetMovedFlows } from "./flows.ts";
import { membersOf, routeMembership } from "./members.ts";
import type { Pass } from "./pass.ts";
import { changeEntries } from "./reconcile-entries.ts";
import { setSysctls } from "./sysctls.ts";
import { makeTables, removeTables } from "./tables.ts";
import { makeTunnels, removeDevices } from "./tunnels.ts";

export interface ReconcileOptions {
  /** Whether members of the scopes that no resource wants are removed. */
  readonly removes: boolean;
}

export function reconcile({ resources, scopes }: NodePlan, { removes }: ReconcileOptions, pass: Pass): void {
  const wanted = resources.filter(isTunnel);
  const tables = resources.filter((one) => one.kind === "nft-table" || one.kind === "nft-elements");
  setSysctls(
    resources.filter((one) => one.kind === "sysctl"),
    pass,
  );
  makeTables(tables, removes ? scopes : [], pass);
  pass.learnLinks([...resources.flatMap(linksOf), ...scopes.flatMap(linksOfScope)]);
  makeTunnels(wanted, pass);
  reconcileEntries({ resources, scopes }, removes, pass);
  if (!removes) return;
  removeDevices(scopes, new Set(wanted.map(({ name }) => name)), pass);
  removeTables(scopes, resources, pass);
}

function reconcileEntries({ resources, scopes }: NodePlan, removes: boolean, pass: Pass): void {
  const found = byIdentity(membersOf(scopes, pass));
  const entries = wantedEntries(resources.filter(isEntry), pass);
  const changes = entries.flatMap((entry) => {
    const same = found.get(entry.identity) ?? [];
    return same.some(({ text }) => text === entry.text) ? [] : [{ entry, replaces: same.length > 0 }];
  });
  const changed = changeEntries(changes, routeMembership(scopes, pass), pass);
  const replaced = new Set(changes.filter(({ replaces }) => replaces).map(({ entry }) => entry.identity));
  const moved = changed.filter(({ identity }) => replaced.has(identity)).flatMap(destinationOf);
  const extras = removes ? unwanted(found, entries, resources) : [];
  pass.remove([...extras].sort(later).map(({ what, removal }) => ({ what, request: removal() })));
  forgetMovedFlows([...moved, ...extras.flatMap(({ destination }) => destination ?? [])], pass);
}

/** In the order in which they are added. One whose link is missing is a failure. */
export function wantedEntries(resources: readonly EntryResource[], pass: Pass): readonly WantedEntry[] {
  const all = resources.flatMap((resource) => {
    try {
      return [wantedEntry(resource, (link) => pass.indexOf(link))];
    } catch (error) {
      pass.fail(describeEntry(resource), error, resource);
      return [];
    }
  });
  return entryKinds.flatMap((kind) => all.filter(({ resource }) => resource.kind === kind));
}

/** Members of a scope with an identity that no resource has, and those beside the planned one with its identity. */
function unwanted(
  found: ReadonlyMap<string, readonly FoundEntry[]>,
  entries: readonly WantedEntry[],
  resources: readonly NodeResource[],
): readonly FoundEntry[] {
  const texts = new Map(entries.map(({ identity, text }) => [identity, text]));
  // What is planned and could not be encoded is not removed either.
  const identities = new Set(resources.map(identityOf));
  return [...found].flatMap(([identity, same]) => {
    if (!identities.has(identity)) return same;
    const text = texts.get(identity);
    return same.some((one) => one.text === text) ? same.filter((one) => one.text !== text) : [];
  });
}

/** Routes go before the entries that they rely on. */
function later(one: FoundEntry, other: FoundEntry): number {
  return entryKinds.indexOf(other.kind) - entryKinds.indexOf(one.kind);
}

function byIdentity(found: readonly FoundEntry[]): ReadonlyMap<string, readonly FoundEntry[]> {
  const all = new Map<string, FoundEntry[]>();
  for (const one of found) all.set(one.identity, [...(all.get(one.identity) ?? []), one]);
  return all;
}

export function destinationOf({ resource }: WantedEntry): readonly string[] {
  return resource.kind === "route" || resource.kind === "blackhole" ? [resource.destination] : [];
}

export function isTunnel(resource: NodeResource): resource is TunnelLink {
  return resource.kind === "vxlan" || resource.kind === "ipip";
}

export function isEntry(resource: NodeResource): resource is EntryResource {
  return (entryKinds as readonly string[]).includes(resource.kind);
}

/** The links that a resource names. */
export function linksOf(resource: NodeResource): readonly string[] {
  if ("link" in resource) return [resource.link];
  if (resource.kind === "vxlan") return [resource.name, resource.device];
  return resource.kind === "ipip" ? [resource.name] : [];
}

function linksOfScope(scope: Scope): readonly string[] {
  if (scope.kind === "link") return [scope.link];
  return scope.kind === "device" ? [scope.name] : [];
}

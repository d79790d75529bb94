/**
 * Adds the entries that the kernel does not hold, and replaces those of ours that differ.
 *
 *     not found ──▶ NLM_F_EXCL ──ok──▶ done
 *                       └──EEXIST──▶ look ─▶ equal: done; a member of a scope: replace; foreign: `ConflictError`
 *     found, differs ──▶ is ours the first of its identity? ──▶ NLM_F_REPLACE, which replaces the first
 *                                                                    └──EINVAL──▶ delete ours, then NLM_F_EXCL
 */
import { familyOf } from "../../net/address.ts";
import { dumpRoutes, type RouteEntry, RTN_BLACKHOLE, readAnyRoute } from "../../netlink/route.ts";
import { identityOf } from "../../plan/identity.ts";
import { ConflictError, hasErrno, KernelError } from "../errors.ts";
import { describeFoundRoute, routeRemoval, routeText, type WantedEntry } from "./entries.ts";
import { dumpOf } from "./members.ts";
import type { Pass, Step } from "./pass.ts";

export interface EntryChange {
  readonly entry: WantedEntry;
  /** The kernel holds another one of ours with its identity. */
  readonly replaces: boolean;
}

interface EntryStep extends Step {
  readonly entry: WantedEntry;
  readonly replaces: boolean;
}

/** In the given order. Returns those that were added or replaced. */
export function changeEntries(
  changes: readonly EntryChange[],
  isMember: (entry: RouteEntry) => boolean,
  pass: Pass,
): readonly WantedEntry[] {
  const rivals = new Rivals(pass);
  const done: WantedEntry[] = [];
  const refused: WantedEntry[] = [];
  const hidden: WantedEntry[] = [];
  const step = (entry: WantedEntry, replaces: boolean): EntryStep => {
    return { what: entry.what, resource: entry.resource, request: entry.request(replaces), entry, replaces };
  };
  const handle = ({ what, resource, entry, replaces }: EntryStep, outcome: Parameters<typeof hasErrno>[0]) => {
    if (outcome.errno === 0) done.push(entry);
    else if (hasErrno(outcome, "EEXIST")) refused.push(entry);
    else if (replaces && hasErrno(outcome, "EINVAL") && isOnlink(entry)) hidden.push(entry);
    else pass.fail(what(), new KernelError(["add", what()], outcome), resource);
  };
  const steps = changes.flatMap(({ entry, replaces }) => {
    const foreign = replaces ? rivals.foreignBefore(entry, isMember) : undefined;
    if (foreign === undefined) return [step(entry, replaces)];
    pass.fail(entry.what(), conflict(entry, foreign, pass), entry.resource);
    return [];
  });
  pass.send(steps, handle);
  // IPv6 looks the gateway up in the table, where the route to be replaced leads to it over another link (ip6_route_check_nh_onlink).
  const former = hidden.flatMap((entry) => rivals.of(entry).slice(0, 1).filter(isMember).map(routeRemoval));
  if (former.length > 0) pass.connection.exchange(former);
  pass.send(
    hidden.map((entry) => step(entry, false)),
    handle,
  );
  const again = refused.splice(0).flatMap((entry) => {
    const [first] = rivals.of(entry);
    const next = afterRefusal(entry, first, isMember);
    if (next === "fail" && first !== undefined) pass.fail(entry.what(), conflict(entry, first, pass), entry.resource);
    return next === "add" || next === "replace" ? [step(entry, next === "replace")] : [];
  });
  pass.send(again, handle);
  for (const { what, resource } of refused) {
    pass.fail(what(), new KernelError(["add", what()], { errno: 17, text: "it changes all the time" }), resource);
  }
  pass.applied += done.length;
  return done;
}

/** What to do about an entry that exists. `first`: the kernel's first route of its identity. */
function afterRefusal(
  { resource, text }: WantedEntry,
  first: RouteEntry | undefined,
  isMember: (entry: RouteEntry) => boolean,
): "add" | "replace" | "leave" | "fail" {
  if (resource.kind === "address") return "leave";
  if (resource.kind === "neighbour" || resource.kind === "fdb") return "replace";
  // One that went away meanwhile is tried once more, and one of ours that came is replaced.
  if (first === undefined) return "add";
  if (routeText(first) === text) return "leave";
  if (isMember(first)) return "replace";
  // It drops the packets to the range as well as one of ours.
  return resource.kind === "blackhole" && first.type === RTN_BLACKHOLE ? "leave" : "fail";
}

function isOnlink({ resource }: WantedEntry): boolean {
  return resource.kind === "route" && resource.onlink === true;
}

function conflict({ what }: WantedEntry, foreign: RouteEntry, pass: Pass): ConflictError {
  const found = describeFoundRoute(foreign, (index) => pass.nameOf(index));
  return new ConflictError(["add", what()], `${found} exists, which is foreign`);
}

/** All routes of a family by identity, in the kernel's order, read only when a route of ours meets another. */
class Rivals {
  readonly #pass: Pass;
  readonly #known = new Map<number, ReadonlyMap<string, readonly RouteEntry[]>>();

  constructor(pass: Pass) {
    this.#pass = pass;
  }

  of({ resource, identity }: WantedEntry): readonly RouteEntry[] {
    if (resource.kind !== "route" && resource.kind !== "blackhole") return [];
    const family = familyOf(resource.destination);
    let known = this.#known.get(family);
    if (known === undefined) {
      known = byIdentity(dumpOf(dumpRoutes(family), "routes", this.#pass).flatMap(readAnyRoute));
      this.#known.set(family, known);
    }
    return known.get(identity) ?? [];
  }

  /** The foreign route that a replacement would hit. */
  foreignBefore(entry: WantedEntry, isMember: (entry: RouteEntry) => boolean): RouteEntry | undefined {
    const [first] = this.of(entry);
    return first === undefined || isMember(first) ? undefined : first;
  }
}

function byIdentity(routes: readonly RouteEntry[]): ReadonlyMap<string, readonly RouteEntry[]> {
  const all = new Map<string, RouteEntry[]>();
  for (const entry of routes) {
    const { destination, table, priority = 0 } = entry;
    const identity = identityOf({ kind: "route", at: "host", link: "", destination, table, priority });
    const same = all.get(identity);
    if (same === undefined) all.set(identity, [entry]);
    else same.push(entry);
  }
  return all;
}

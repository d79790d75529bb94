import { familyOf } from "../../net/address.ts";
import {
  addRoute,
  deleteRoute,
  type RouteEntry,
  RT_SCOPE_LINK,
  RT_SCOPE_UNIVERSE,
  RT_TABLE_MAIN,
} from "../../netlink/route.ts";
import { describeRoute, routeScopes } from "../../plan/describe.ts";
import type { Route } from "../../plan/resource.ts";
import { routePriority } from "../../plan/route-priority.ts";
import type { MessageDriver } from "../driver.ts";
import type { KernelState } from "../kernel-state.ts";
import { differenceSuffix, type Namespaces } from "../namespaces.ts";

export const routeDriver: MessageDriver<Route> = {
  how: "message",
  describe: (route) => `route ${describeRoute(route)}`,
  links: ({ link }) => [link],
  create: (route, { indexOf }, replace) => addRoute(entryOf(route, indexOf(route.link)), replace),
  remove: (route, { indexOf }) => deleteRoute(entryOf(route, indexOf(route.link))),
  diff(route, namespaces) {
    const state = namespaces.state(route.at);
    const index = state.link(route.link)?.index;
    const wanted = entryOf(route, index);
    if (rivalsOver(index, route, state).some((found) => sameRoute(wanted, found))) return [];
    // Reads all routes of the node only in this case: there may be very many.
    const rivals = rivalsAmong(state.routes(familyOf(route.destination)), route);
    const other = rivals[0] === undefined ? "" : ` (found ${describeEntry(rivals[0], state)})`;
    return [`route ${describeRoute(route)} is missing${differenceSuffix(route.at)}${other}`];
  },
  /**
   * A route to the same destination over the plan's own link is an outdated one of ours. One over the link of the pod's earlier sandbox leads to
   * an address that this sandbox has taken over. One over a link that no longer exists is about to go: the kernel removes a link's IPv6 routes after it.
   */
  mayReplace(route, { namespaces, options }) {
    const state = namespaces.state(route.at);
    // NLM_F_REPLACE replaces the first of several matching routes, which may be a foreign one.
    if (rivalsOver(state.link(route.link)?.index, route, state).length > 0)
      return !route.instead || !isTaken(route, namespaces);
    const rivals = rivalsAmong(state.routes(familyOf(route.destination)), route);
    const mayReplaceOver = (index: number | undefined) => {
      if (index === undefined) return false;
      const link = state.link(index);
      return link === undefined || (link.alias !== undefined && options.mayReplace?.(link.alias) === true);
    };
    return rivals.length > 0 && rivals.every(({ index }) => mayReplaceOver(index));
  },
  instead: (route, namespaces) => (route.instead && isTaken(route, namespaces) ? route.instead : undefined),
};

/** Whether another link has a route of the same destination, table and metric. */
function isTaken(route: Route, namespaces: Namespaces): boolean {
  const state = namespaces.state(route.at);
  const own = state.link(route.link)?.index;
  return rivalsAmong(state.routes(familyOf(route.destination)), route).some(({ index }) => index !== own);
}

/** The rivals over one link. */
function rivalsOver(index: number | undefined, route: Route, state: KernelState): readonly RouteEntry[] {
  return index === undefined ? [] : rivalsAmong(state.routes(familyOf(route.destination), index), route);
}

/** Destination, table and priority identify a route to the kernel. */
function rivalsAmong(routes: readonly RouteEntry[], route: Route): readonly RouteEntry[] {
  const { destination, table = RT_TABLE_MAIN } = route;
  const priority = routePriority(route);
  return routes.filter(
    (found) => found.destination === destination && found.table === table && (found.priority ?? 0) === priority,
  );
}

/** The kernel's form of a planned route. */
export function entryOf(route: Route, index: number | undefined): RouteEntry {
  const { destination, gateway, scope, source, priority, mtu, advmss, protocol, onlink } = route;
  const word = scope ?? (gateway === undefined ? "link" : "global");
  return {
    destination,
    index,
    gateway,
    // IPv6 routes have no scope: the kernel always reports 0.
    scope: familyOf(destination) === 6 ? RT_SCOPE_UNIVERSE : typeof word === "number" ? word : routeScopes[word],
    table: route.table ?? RT_TABLE_MAIN,
    source,
    priority,
    mtu,
    advmss,
    protocol,
    onlink,
  };
}

function sameRoute(wanted: RouteEntry, found: RouteEntry): boolean {
  return (
    found.index === wanted.index &&
    found.gateway === wanted.gateway &&
    found.scope === wanted.scope &&
    (wanted.source === undefined || found.source === wanted.source) &&
    found.mtu === wanted.mtu &&
    found.advmss === wanted.advmss &&
    (wanted.protocol === undefined || found.protocol === wanted.protocol) &&
    (!wanted.onlink || found.onlink === true)
  );
}

function describeEntry(found: RouteEntry, state: KernelState): string {
  const { destination, index, gateway, source, scope, mtu, advmss } = found;
  const route = { kind: "route", at: "host", destination, link: state.linkName(index) } as const;
  return describeRoute({
    ...route,
    ...(gateway === undefined ? {} : { gateway }),
    ...(source === undefined ? {} : { source }),
    ...(mtu === undefined ? {} : { mtu }),
    ...(advmss === undefined ? {} : { advmss }),
    scope: scope === RT_SCOPE_LINK ? "link" : scope,
  });
}

/**
 * The way out of a pod, by each of its interfaces:
 *
 *     from 10.0.0.9/32 ──rule──► table of net1: default via 169.254.1.1 dev net1
 *     from elsewhere   ────────► main:          default via 169.254.1.1 dev eth0
 *                                               default via 169.254.1.1 dev net1 metric 42081
 *
 * All have the same gateway, and the kernel allows one route to a destination at each metric. `eth0` has the main table's default metrics, unless
 * another network's plugin came first; the routes of other interfaces come after them, for a pod that loses its `eth0`. **Packets from an
 * interface's address leave by that interface**: otherwise replies would leave by `eth0`, and the host drops a packet that does not arrive at
 * the interface to which it would route the packet's source (`rp_filter` 1; also 2, because the host's interfaces have no address).
 */
import type { RouteConfig } from "../../src/cni/result.ts";
import { type Family, familyOf } from "../../src/net/address.ts";
import { sha1 } from "../../src/net/digest.ts";
import { lengthOf } from "../../src/net/prefix.ts";
import type { Route, Rule } from "../../src/plan/resource.ts";
import { gateway4, gateway6, sourceRulePriority } from "./names.ts";

/** The routes that a pod gets when its IPAM plugin names none. */
export const defaultRoutes: readonly RouteConfig[] = [{ dst: "0.0.0.0/0" }, { dst: "::/0" }];

const gateways = { 4: gateway4, 6: gateway6 } as const;

export interface RoutedInterface {
  readonly ifname: string;
  /** /32 and /128. */
  readonly addresses: readonly string[];
  /** The pod's routes through the host. */
  readonly routes: readonly RouteConfig[];
}

/** Routes and rules of one family. */
export function planRoutes(spec: RoutedInterface, family: Family): readonly (Route | Rule)[] {
  const { ifname, routes } = spec;
  const own = routes.filter(({ dst }) => familyOf(dst) === family);
  const main = [...toGateway(family, ifname), ...through(family, ifname, own)];
  const bySource = planBySource(spec, family, own);
  if (!isFirst(ifname)) return [...main.map((route) => behind(route, ifname)), ...bySource];
  return main.map((route) => {
    if (route.table !== undefined) return route;
    // If another interface has the default route already, this one counts as a further interface.
    const isDefault = lengthOf(route.destination) === 0;
    return { ...route, instead: [{ ...route, priority: metricOf(ifname) }, ...(isDefault ? bySource : [])] };
  });
}

/** IPv6's is a link-local address, which needs no route. */
function toGateway(family: Family, link: string): readonly Route[] {
  if (family === 6) return [];
  return [{ kind: "route", at: "sandbox", link, destination: `${gateway4}/32`, scope: "link" }];
}

function behind(route: Route, ifname: string): Route {
  return { ...route, priority: route.priority ?? metricOf(ifname) };
}

function planBySource(
  { ifname, addresses }: RoutedInterface,
  family: Family,
  routes: readonly RouteConfig[],
): readonly (Route | Rule)[] {
  const table = tableOf(ifname);
  return [
    ...through(family, ifname, withDefault(family, routes)).map((route) => ({ ...route, table })),
    ...addresses
      .filter((from) => familyOf(from) === family)
      .map((from) => ({ kind: "rule", at: "sandbox", from, table, priority: sourceRulePriority }) as const),
  ];
}

/** Ignores the gateway that a route names, which is meant for a subnet; here everything goes through the host. */
function through(family: Family, link: string, routes: readonly RouteConfig[]): readonly Route[] {
  return routes.map(({ dst, mtu, advmss, priority, table }) => ({
    kind: "route",
    at: "sandbox",
    link,
    destination: dst,
    gateway: gateways[family],
    ...(mtu === undefined ? {} : { mtu }),
    ...(advmss === undefined ? {} : { advmss }),
    ...(priority === undefined ? {} : { priority }),
    ...(table === undefined ? {} : { table }),
  }));
}

/** Adds a default route, so that any client gets replies, whatever routes the pod has. A route with a table of its own is in no other table. */
function withDefault(family: Family, routes: readonly RouteConfig[]): readonly RouteConfig[] {
  const main = routes.filter(({ table }) => table === undefined);
  const everywhere = defaultRoutes.filter(({ dst }) => familyOf(dst) === family);
  return [...main, ...everywhere.filter(({ dst }) => !main.some((route) => route.dst === dst))];
}

const first = "eth0";
/** Every pod has this interface: computed when the executable is built. */
const digestOfFirst = sha1(first);

/** Whether an interface has the main table's default metrics. */
function isFirst(ifname: string): boolean {
  return ifname === first;
}

function digestOf(ifname: string): string {
  return isFirst(ifname) ? digestOfFirst : sha1(ifname);
}

/** A metric after the main table's default ones (IPv6's is 1024). Depends only on the name. */
export function metricOf(ifname: string): number {
  return 1025 + Number.parseInt(digestOf(ifname).slice(0, 4), 16);
}

/**
 * The number of an interface's table. Depends only on the name, so that DEL and CHECK can derive it: 28 bits of its digest, above the numbers
 * that people and other plugins use (`sbr` counts from 100; the kernel's own are 0 and 253 to 255). Never change: see names.ts.
 */
export function tableOf(ifname: string): number {
  return 10_000 + Number.parseInt(digestOf(ifname).slice(4, 11), 16);
}

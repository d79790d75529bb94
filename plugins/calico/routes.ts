/**
 * The way out of a pod, by each of its interfaces:
 *
 *     from 10.0.0.9/32 ──rule──► table of net1: default via 169.254.1.1 dev net1
 *     from elsewhere   ────────► main:          default via 169.254.1.1 dev eth0
 *                                               default via 169.254.1.1 dev net1 metric 42081
 *
 * All have the same gateway, and the kernel takes one route to a destination at each metric. `eth0` has the main table's own metrics;
 * another interface has its routes there behind them, for a pod that loses its `eth0`. And **what is sent from an interface's address leaves
 * by that interface**: else replies would leave by `eth0`, and the host drops a packet that does not come by the interface by which it has
 * a route to the packet's source (`rp_filter` 1; and 2, for the host's interfaces have no address).
 */
import type { RouteConfig } from "../../src/cni/result.ts";
import { familyOf } from "../../src/net/address.ts";
import { sha1 } from "../../src/net/digest.ts";
import { gateway4, gateway6, sourceRulePriority } from "../../src/plan/names.ts";
import type { Resource, Route } from "../../src/plan/resource.ts";
import type { EndpointSpec } from "./endpoint.ts";

/** The routes that a pod gets when its IPAM plugin names none. */
export const defaultRoutes: readonly RouteConfig[] = [{ dst: "0.0.0.0/0" }, { dst: "::/0" }];

const gateways = { 4: gateway4, 6: gateway6 } as const;

/** Routes and rules of one family. */
export function planRoutes({ ifname, routes, addresses }: EndpointSpec, family: 4 | 6): readonly Resource[] {
  const own = routes.filter(({ dst }) => familyOf(dst) === family);
  if (isFirst(ifname)) return through(family, ifname, own, {});
  const table = tableOf(ifname);
  return [
    ...through(family, ifname, own, { priority: metricOf(ifname) }),
    ...through(family, ifname, withDefault(family, own), { table }),
    ...addresses
      .filter((from) => familyOf(from) === family)
      .map((from) => ({ kind: "rule", at: "sandbox", from, table, priority: sourceRulePriority }) as const),
  ];
}

/** The gateway that a route names is the IPAM plugin's idea of a subnet; here everything goes through the host. */
function through(
  family: 4 | 6,
  link: string,
  routes: readonly RouteConfig[],
  unlessSaid: Pick<Route, "priority" | "table">,
): readonly Route[] {
  return routes.map(({ dst, mtu, advmss, priority, table }) => ({
    kind: "route",
    at: "sandbox",
    link,
    destination: dst,
    gateway: gateways[family],
    ...unlessSaid,
    ...(mtu === undefined ? {} : { mtu }),
    ...(advmss === undefined ? {} : { advmss }),
    ...(priority === undefined ? {} : { priority }),
    ...(table === undefined ? {} : { table }),
  }));
}

/** Whoever asks from elsewhere is answered, whatever the pod may ask for itself. A route with a table of its own is in no other. */
function withDefault(family: 4 | 6, routes: readonly RouteConfig[]): readonly RouteConfig[] {
  const main = routes.filter(({ table }) => table === undefined);
  const everywhere = defaultRoutes.filter(({ dst }) => familyOf(dst) === family);
  return [...main, ...everywhere.filter(({ dst }) => !main.some((route) => route.dst === dst))];
}

/** Whether an interface has the main table to itself. */
export function isFirst(ifname: string): boolean {
  return ifname === "eth0";
}

/** The metric of an interface's routes in the main table: behind `eth0`'s (IPv6's default is 1024). Follows from the name alone. */
export function metricOf(ifname: string): number {
  return 1025 + Number.parseInt(sha1(ifname).slice(0, 4), 16);
}

/**
 * The number of an interface's table. Follows from the name alone, so that DEL and CHECK know it: 28 bits of its digest, behind the numbers
 * that people and other plugins give (`sbr` counts from 100; the kernel's own are 0 and 253 to 255). Never change: see names.ts.
 */
export function tableOf(ifname: string): number {
  return 10_000 + Number.parseInt(sha1(ifname).slice(4, 11), 16);
}

/** What identifies a node's resource to the kernel: two resources with the same identity cannot exist together. */
import { familyOf } from "../net/address.ts";
import { mainTable } from "./describe.ts";
import type { NodeResource } from "./node-plan.ts";

/** The kernel's default priority (IP6_RT_PRIO_USER, linux/ipv6_route.h). */
const defaultPriority = { 4: 0, 6: 1024 } as const;

interface RouteKey {
  readonly destination: string;
  readonly table?: number | undefined;
  readonly priority?: number | undefined;
}

/** The priority that the kernel gives to a route. */
export function routePriority({ destination, priority }: RouteKey): number {
  return priority || defaultPriority[familyOf(destination)];
}

/** Destination, table and priority identify a route, whatever its type. */
function routeIdentity(route: RouteKey): string {
  return `route ${route.destination} ${route.table ?? mainTable} ${routePriority(route)}`;
}

export function identityOf(resource: NodeResource): string {
  switch (resource.kind) {
    case "sysctl":
      return `sysctl ${resource.path}`;
    case "nft-table":
      return `table ${resource.family} ${resource.name}`;
    case "nft-elements":
      return `elements ${resource.family} ${resource.table} ${resource.set}`;
    case "vxlan":
    case "ipip":
      return `link ${resource.name}`;
    case "address":
      return `address ${resource.link} ${resource.address}`;
    case "neighbour":
      return `neighbour ${resource.link} ${resource.address}`;
    case "fdb":
      return `fdb ${resource.link} ${resource.mac}`;
    case "route":
    case "blackhole":
      return routeIdentity(resource);
  }
}

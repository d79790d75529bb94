/** What identifies a node's resource to the kernel: two resources with the same identity cannot exist together. */
import { mainTable } from "./describe.ts";
import type { NodeResource } from "./node-plan.ts";
import { type RouteKey, routePriority } from "./route-priority.ts";

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

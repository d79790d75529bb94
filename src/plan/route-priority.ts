/** Destination, table and priority identify a route to the kernel, whatever its type. */
import { familyOf } from "../net/address.ts";

/** The kernel's default priority (IP6_RT_PRIO_USER, linux/ipv6_route.h). */
const defaultPriority = { 4: 0, 6: 1024 } as const;

export interface RouteKey {
  readonly destination: string;
  readonly table?: number | undefined;
  readonly priority?: number | undefined;
}

/** The priority that the kernel gives to a route. */
export function routePriority({ destination, priority }: RouteKey): number {
  return priority || defaultPriority[familyOf(destination)];
}

/** Makes the node route for its pods, because there is no node agent to do it. */
import type { Sys } from "../host/sys.ts";
import { familyOf } from "../net/address.ts";
import type { Resource, Sysctl } from "../plan/resource.ts";
import { listenersAsHost } from "./advertisements.ts";

/**
 * Turns on forwarding for the families of the addresses. **Precedes all other sysctls of the node**: links that listen to router advertisements
 * must first be configured to keep listening.
 */
export function planForwarding(sys: Sys, addresses: readonly string[]): readonly Resource[] {
  const v4 = addresses.some((address) => familyOf(address) === 4);
  const v6 = addresses.some((address) => familyOf(address) === 6);
  return [...(v4 ? [hostSysctl("net/ipv4/ip_forward", "1")] : []), ...(v6 ? planIpv6(sys) : [])];
}

/** Writing `all/forwarding` again would turn links that an administrator has excepted into a router's. */
function planIpv6(sys: Sys): readonly Resource[] {
  return [
    ...listenersAsHost(sys).map((link) => ({
      ...hostSysctl(`net/ipv6/conf/${link}/accept_ra`, "2"),
      optional: true,
      initial: true,
    })),
    { ...hostSysctl("net/ipv6/conf/all/forwarding", "1"), ifDifferent: true },
  ];
}

function hostSysctl(path: string, value: string): Sysctl {
  return { kind: "sysctl", at: "host", path, value };
}

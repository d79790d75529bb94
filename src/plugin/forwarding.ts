/** Makes the node route for its pods, because there is no node agent to do it. */
import type { Sys } from "../host/sys.ts";
import { familyOf } from "../net/address.ts";
import type { Resource, Sysctl } from "../plan/resource.ts";
import { listenersAsHost } from "./advertisements.ts";

/**
 * Forwarding for the families that the addresses belong to. **Goes before all other sysctls of the node**: the links that listen to router
 * advertisements have to be told first that they go on to.
 */
export function planForwarding(sys: Sys, addresses: readonly string[]): readonly Resource[] {
  const v4 = addresses.some((address) => familyOf(address) === 4);
  const v6 = addresses.some((address) => familyOf(address) === 6);
  return [...(v4 ? [hostSysctl("net/ipv4/ip_forward", "1")] : []), ...(v6 ? planIpv6(sys) : [])];
}

/** Written again, `all/forwarding` would make a router's of the links that an administrator has excepted. */
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

/**
 * IPv6 router advertisements, from which many nodes have their addresses and default routes.
 *
 * A router ignores them unless `accept_ra` is 2 (Linux, Documentation/networking/ip-sysctl), and **whenever the `forwarding` of any link is
 * written 1, even if it is 1 already, the kernel removes the default routes of all links whose `accept_ra` is not 2**
 * (addrconf_fixup_forwarding in net/ipv6/addrconf.c, rt6_purge_dflt_routers in net/ipv6/route.c).
 */
import { isErrno, type Sys } from "../host/sys.ts";
import { hostInterfacePrefix, ifbPrefix } from "../identity/names.ts";

const directory = "net/ipv6/conf";

/** Whether all links, and those that will be created, are a router's already: then there is nothing to write. */
function routesAlready(sys: Sys): boolean {
  return ["all", "default"].every((name) => settingOf(sys, `${name}/forwarding`) === "1");
}

/**
 * The links that listen to router advertisements as a host, but would not as a router: `accept_ra` is 1 and `forwarding` 0. Includes `default`,
 * whose values later links get. Omits `all`, which is not a link, and our own, which must never listen to a pod.
 */
export function listenersAsHost(sys: Sys): readonly string[] {
  if (sys.stat(`/proc/sys/${directory}`) === undefined || routesAlready(sys)) return [];
  return sys
    .listDir(`/proc/sys/${directory}`)
    .filter(
      (link) =>
        link !== "all" &&
        link !== "lo" &&
        !link.startsWith(hostInterfacePrefix) &&
        !link.startsWith(ifbPrefix) &&
        settingOf(sys, `${link}/accept_ra`) === "1" &&
        settingOf(sys, `${link}/forwarding`) === "0",
    );
}

/** `undefined` if the link was deleted meanwhile. */
function settingOf(sys: Sys, path: string): string | undefined {
  try {
    return sys.readFile(`/proc/sys/${directory}/${path}`).trim();
  } catch (error) {
    if (isErrno(error, "ENOENT")) return undefined;
    throw error;
  }
}

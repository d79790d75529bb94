/** What makes the node itself able to route for its pods, where no node agent does it. */
import type { Sys } from "../../src/host/sys.ts";
import { familyOf } from "../../src/net/address.ts";
import type { Resource } from "../../src/plan/resource.ts";

/** Forwarding for the families that the addresses belong to. */
export function planForwarding(sys: Sys, addresses: readonly string[]): readonly Resource[] {
  const v4 = addresses.some((address) => familyOf(address) === 4);
  const v6 = addresses.some((address) => familyOf(address) === 6);
  return [
    ...(v4 ? [hostSysctl("net/ipv4/ip_forward", "1")] : []),
    ...(v6 ? [...keepRouterAdvertisements(sys), hostSysctl("net/ipv6/conf/all/forwarding", "1")] : []),
  ];
}

/**
 * A router does not listen to router advertisements unless `accept_ra` is 2 (Linux, Documentation/networking/ip-sysctl). A node that got
 * its own default route from one would lose it, minutes after its first IPv6 pod.
 */
function keepRouterAdvertisements(sys: Sys): readonly Resource[] {
  const folder = "net/ipv6/conf";
  // A kernel without IPv6 refuses the sysctls that follow, by name.
  if (sys.stat(`/proc/sys/${folder}`) === undefined || readSysctl(sys, `${folder}/all/forwarding`) === "1") return [];
  return sys
    .listDir(`/proc/sys/${folder}`)
    .filter((link) => link !== "all" && link !== "lo" && readSysctl(sys, `${folder}/${link}/accept_ra`) === "1")
    .map((link) => ({ ...hostSysctl(`${folder}/${link}/accept_ra`, "2"), optional: true, initial: true }));
}

function readSysctl(sys: Sys, path: string): string {
  return sys.readFile(`/proc/sys/${path}`).trim();
}

function hostSysctl(path: string, value: string): Extract<Resource, { kind: "sysctl" }> {
  return { kind: "sysctl", at: "host", path, value };
}

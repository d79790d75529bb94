/**
 * Lets 127.0.0.1:<host port> reach the container: without `route_localnet` the kernel drops packets from 127.0.0.1 that leave by an
 * interface other than lo. The back ends' guard drops what others could then send to 127.0.0.0/8, so the guard is applied first.
 */

import type { Result } from "../../src/cni/result.ts";
import { NodeFacts } from "../../src/dataplane/node-facts.ts";
import type { Sys } from "../../src/host/sys.ts";
import type { Resource } from "../../src/plan/resource.ts";
import { hostInterfaces, type Target } from "./target.ts";

/** IPv6 has no such sysctl: [::1]:<host port> does not reach a container. CHECK skips it, because an administrator may change it. */
export function planLocalnet(
  targets: readonly Target[],
  interfaceOf: (address: string) => string | undefined,
): readonly Resource[] {
  const target = targets.find(({ family }) => family === "ip");
  if (target === undefined) return [];
  const name = interfaceOf(target.address);
  // Behind a gateway means that a DEL has removed the attachment meanwhile; the interface is then the host's uplink.
  if (name === undefined) return [];
  const path = `net/ipv4/conf/${name}/route_localnet`;
  return [{ kind: "sysctl", at: "host", path, value: "1", initial: true, afterFirewall: true }];
}

/** The host interface that leads to an address of the container: the only one in the result, otherwise the one in the kernel's routes. */
export function interfaceTowards(result: Result, sys: Sys): (address: string) => string | undefined {
  const [only, ...others] = hostInterfaces(result);
  // If the result has several (a bridge and its port, an ifb), only the kernel's routes tell.
  if (only !== undefined && others.length === 0) return () => only;
  return (address) => new NodeFacts(sys).interfaceOf(address);
}

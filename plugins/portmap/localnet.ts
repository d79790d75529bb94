/**
 * Lets 127.0.0.1:<host port> reach the container: without `route_localnet` the kernel drops a packet from 127.0.0.1 that leaves by
 * another interface than lo. The back ends' guard keeps out what others then could send to 127.0.0.0/8, so it comes first.
 */

import type { Result } from "../../src/cni/result.ts";
import { Executor } from "../../src/dataplane/executor.ts";
import type { Sys } from "../../src/host/sys.ts";
import type { Resource } from "../../src/plan/resource.ts";
import { hostInterfaces, type Target } from "./target.ts";

/** There is no such thing for IPv6: [::1]:<host port> does not reach a container. CHECK leaves it to whoever changes it later. */
export function planLocalnet(
  targets: readonly Target[],
  interfaceOf: (address: string) => string | undefined,
): readonly Resource[] {
  const target = targets.find(({ family }) => family === "ip");
  if (target === undefined) return [];
  const name = interfaceOf(target.address);
  // What is behind a gateway is not on this host: an attachment that a DEL took away meanwhile, and then that is the host's own uplink.
  if (name === undefined) return [];
  const path = `net/ipv4/conf/${name}/route_localnet`;
  return [{ kind: "sysctl", at: "host", path, value: "1", initial: true, afterFirewall: true }];
}

/** The interface that an address of the container is behind: the only one of the host's in the result, else as the kernel's routes have it. */
export function interfaceTowards(result: Result, sys: Sys): (address: string) => string | undefined {
  const [only, ...others] = hostInterfaces(result);
  // With several in the result (a bridge and a port of it, an ifb) only the kernel knows.
  if (only !== undefined && others.length === 0) return () => only;
  return (address) => new Executor(sys).node.interfaceOf(address);
}

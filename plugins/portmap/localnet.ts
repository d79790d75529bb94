/**
 * Lets 127.0.0.1:<host port> reach the container: without `route_localnet` the kernel drops a packet from 127.0.0.1 that leaves by
 * another interface than lo. The back ends' guard keeps out what others then could send to 127.0.0.0/8.
 */

import { CniError, code } from "../../src/cni/error.ts";
import type { Result } from "../../src/cni/result.ts";
import { interfaceOf } from "../../src/dataplane/node/route-lookup.ts";
import type { Sys } from "../../src/host/sys.ts";
import { hostInterfaces, type Target } from "./target.ts";

/** There is no such thing for IPv6: [::1]:<host port> does not reach a container. */
export function routeLocalnet(result: Result, targets: readonly Target[], sys: Sys): void {
  const target = targets.find(({ family }) => family === "ip");
  if (target === undefined) return;
  const [only, ...others] = hostInterfaces(result);
  // With several in the result (a bridge and a port of it, an ifb) only the kernel knows.
  const name = only !== undefined && others.length === 0 ? only : interfaceOf(target.address, sys);
  // What is behind a gateway is not on this host: an attachment that a DEL took away meanwhile, and then that is the host's own uplink.
  if (name === undefined) return;
  try {
    sys.writeFile(`/proc/sys/net/ipv4/conf/${name}/route_localnet`, "1");
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new CniError(code.refused, `cannot set route_localnet of "${name}": ${reason}`);
  }
}

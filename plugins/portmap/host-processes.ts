/** Warns of host processes that listen on mapped ports. As in Kubernetes, the pod gets the port all the same. */
import { NodeFacts } from "../../src/dataplane/node-facts.ts";
import type { Context } from "../../src/plugin/plugin.ts";
import { describeHostPort, type Mapping } from "./conf.ts";

/** podman's container monitor listens on published ports to reserve them. */
const reserving = /^(conmon|podman|rootlessport) /;

export function warnOfHostProcesses(mappings: readonly Mapping[], { sys, log }: Context): void {
  for (const mapping of mappings) {
    if (mapping.hostIp !== "::1") continue;
    log.warning("a host port has no effect: the kernel does not forward packets to ::1", () => ({
      port: describeHostPort(mapping),
    }));
  }
  try {
    for (const { protocol, port, address, process } of new NodeFacts(sys).listeners(mappings)) {
      if (process !== undefined && reserving.test(process)) continue;
      const listens = describeHostPort({ protocol, hostPort: port, hostIp: address });
      log.warning("a host port takes packets from a process of the node", () => ({
        listens,
        process: process ?? "unknown",
      }));
    }
  } catch (error) {
    log.debug("cannot determine whether a process of the node listens on a host port", () => ({
      error: String(error),
    }));
  }
}

/**
 * Which conntrack entries are deleted when a host port gets a container or loses it.
 *
 *     DEL, takeover     all flows that the container answered, of every protocol. A client that keeps its source port (a name server, a
 *                       signalling peer, one behind a NAT) could not reach the next container until the entry expires, for TCP after days
 *     ADD               UDP: all flows to the port, for clients that kept sending while no container had it
 *                       SCTP: the same, but only to the node's own addresses: a forwarded association cannot restart in the middle
 *                       TCP: none. A refused client opens a new connection, and connections to a process of the node continue
 */

import { Executor, type Removal, unowned } from "../../src/dataplane/executor.ts";
import { NodeFacts } from "../../src/dataplane/node-facts.ts";
import { type TableFamily, tableFamilies } from "../../src/net/address.ts";
import type { Context } from "../../src/plugin/plugin.ts";
import type { FormerPort } from "./backend.ts";
import type { PortmapConf } from "./conf.ts";
import type { Target } from "./target.ts";

type Flows = Extract<Removal, { kind: "flows" }>["which"];
type FlowFilter = Exclude<Flows, (...args: never) => unknown>[number];

/** The kernel scans its whole table for each filter. */
const maxFilters = 16;

/** Deletes the flows to host ports that containers had. A failure is logged, not thrown. */
export function forgetFormer(former: readonly FormerPort[], context: Context): void {
  for (const family of tableFamilies) {
    const ports = former.filter((one) => one.family === family);
    const filters: readonly FlowFilter[] =
      ports.length <= maxFilters
        ? ports.map(({ protocol, port, address: answerer }) => ({ protocol, port, answerer }))
        : [...new Set(ports.map(({ address }) => address))].map((answerer) => ({ answerer }));
    remove(family, filters, context);
  }
}

/** Deletes the flows to host ports that no container had. */
export function forgetUnanswered({ mappings }: PortmapConf, targets: readonly Target[], context: Context): void {
  for (const { family, address } of targets) {
    const ours = mappings.filter(({ families: list }) => list.includes(family));
    const filters = ours
      .filter(({ protocol }) => protocol === "udp")
      .map(({ hostPort: port, hostIp }): FlowFilter => {
        return { protocol: "udp", port, ...(hostIp !== undefined && { destination: hostIp }) };
      });
    remove(family, filters, context);
    const sctp = ours.filter(({ protocol }) => protocol === "sctp");
    if (sctp.length === 0) continue;
    const isOurs = localTo(new NodeFacts(context.sys));
    remove(
      family,
      ({ protocol, port, destination, answerer }) =>
        protocol === "sctp" &&
        destination !== undefined &&
        answerer !== address &&
        sctp.some(({ hostPort, hostIp }) => hostPort === port && (hostIp === undefined || hostIp === destination)) &&
        isOurs(destination),
      context,
    );
  }
}

/** Whether the node has an address; each is looked up once. */
function localTo(facts: NodeFacts): (address: string) => boolean {
  const known = new Map<string, boolean>();
  return (address) => {
    const answer = known.get(address) ?? facts.isLocal(address);
    known.set(address, answer);
    return answer;
  };
}

function remove(family: TableFamily, which: Flows, { sys, log }: Context): void {
  if (typeof which !== "function" && which.length === 0) return;
  try {
    new Executor(sys).remove(unowned, [{ kind: "flows", family, which }]);
  } catch (error) {
    log.warning("cannot delete flows to host ports", () => ({ error: String(error) }));
  }
}

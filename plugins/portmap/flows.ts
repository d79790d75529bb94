/**
 * Which flows end when a host port gets a container or loses it.
 *
 *     DEL, takeover     all that the container answered, of every protocol: to a client that keeps its port (a name server's, a signalling peer's, one
 *                       behind a NAT) the next container would be dead until the flow has run out, TCP's after days
 *     ADD               UDP: all that are to the port, for clients that went on sending while nobody had it
 *                       SCTP: the same, at the node's own addresses alone, for what is forwarded here cannot begin anew in its middle
 *                       TCP: none. A client that is refused begins anew, and what is with a process of the node goes on
 */
import { Executor } from "../../src/dataplane/executor.ts";
import type { Context } from "../../src/plugin/plugin.ts";
import { type FormerPort, families } from "./backend.ts";
import type { PortmapConf } from "./conf.ts";
import type { Target } from "./target.ts";

type FlowFilter = Parameters<Executor["node"]["forgetFlows"]>[1][number];

/** The kernel looks through its whole table for each filter. */
const maxFilters = 16;

/** Ends the flows to host ports that containers had. That it could not is no reason to fail. */
export function forgetFormer(former: readonly FormerPort[], context: Context): void {
  for (const family of families) {
    const ports = former.filter((one) => one.family === family);
    const filters: readonly FlowFilter[] =
      ports.length <= maxFilters
        ? ports.map(({ protocol, port, address: answerer }) => ({ protocol, port, answerer }))
        : [...new Set(ports.map(({ address }) => address))].map((answerer) => ({ answerer }));
    quietly(context, () => new Executor(context.sys).node.forgetFlows(family, filters));
  }
}

/** Ends the flows to host ports that nobody had. */
export function forgetUnanswered({ mappings }: PortmapConf, targets: readonly Target[], context: Context): void {
  const { node } = new Executor(context.sys);
  for (const { family, address } of targets) {
    const ours = mappings.filter(({ families: list }) => list.includes(family));
    const filters = ours
      .filter(({ protocol }) => protocol === "udp")
      .map(({ hostPort: port, hostIp }): FlowFilter => {
        return { protocol: "udp", port, ...(hostIp !== undefined && { destination: hostIp }) };
      });
    quietly(context, () => node.forgetFlows(family, filters));
    const sctp = ours.filter(({ protocol }) => protocol === "sctp");
    if (sctp.length === 0) continue;
    const isOurs = localTo(node);
    quietly(context, () =>
      node.forgetFlowsThat(
        family,
        ({ protocol, port, destination, answerer }) =>
          protocol === "sctp" &&
          destination !== undefined &&
          answerer !== address &&
          sctp.some(({ hostPort, hostIp }) => hostPort === port && (hostIp === undefined || hostIp === destination)) &&
          isOurs(destination),
      ),
    );
  }
}

/** Whether an address is the node's; each is asked for once. */
function localTo(node: Executor["node"]): (address: string) => boolean {
  const known = new Map<string, boolean>();
  return (address) => {
    const answer = known.get(address) ?? node.isLocal(address);
    known.set(address, answer);
    return answer;
  };
}

function quietly({ log }: Context, forget: () => void): void {
  try {
    forget();
  } catch (error) {
    log.warning("cannot delete flows to host ports", () => ({ error: String(error) }));
  }
}

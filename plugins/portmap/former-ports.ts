/** The host ports among removed elements and chains. */
import type { RemovedChain } from "../../src/plan/iptables.ts";
import type { RemovedElement } from "../../src/plan/nft.ts";
import type { FormerPort } from "./backend.ts";
import type { Mapping } from "./conf.ts";
import { mappingOf } from "./mapped.ts";

export function formerPorts(removed: readonly (RemovedElement | RemovedChain)[]): readonly FormerPort[] {
  return removed.flatMap((one) => ("element" in one ? portOfElement(one) : portsOfChain(one)));
}

function portOfElement({ table: { family }, set, element: { key, data } }: RemovedElement): readonly FormerPort[] {
  if (set !== "ports" && set !== "hostip_ports") return [];
  const { protocol, hostPort } = mappingOf(key);
  const [address] = data ?? [];
  return address === undefined ? [] : [{ family, protocol, port: hostPort, address }];
}

function portsOfChain({ family, rules }: RemovedChain): readonly FormerPort[] {
  return rules.flatMap((rule) => {
    const [, protocol, port, to = ""] =
      / -p (tcp|udp|sctp) .*--dport (\d+) -j DNAT --to-destination (\S+)/.exec(rule) ?? [];
    if (protocol === undefined) return [];
    const address = to.slice(0, to.lastIndexOf(":")).replace(/[[\]]/g, "");
    return [{ family, protocol: protocol as Mapping["protocol"], port: Number(port), address }];
  });
}

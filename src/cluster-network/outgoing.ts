/** How packets from pools with natOutgoing leave the nodes of the cluster, apart from Calico's defaults. */
import { addressOf } from "../net/prefix.ts";
import type { OutgoingMessage } from "../node-protocol/messages.ts";
import type { NetworkNode } from "./network-node.ts";
import type { NetworkSettings } from "./network-settings.ts";

interface Cluster {
  readonly settings: NetworkSettings;
  readonly nodes: ReadonlyMap<string, NetworkNode>;
}

/** `undefined`: masquerade all of them, as without a cluster. The exclusions are sorted. */
export function outgoingOf({ settings, nodes }: Cluster): OutgoingMessage | undefined {
  const { natOutgoingExclusions, natPortRange, natOutgoingAddress, iptablesNATOutgoingInterfaceFilter } = settings;
  const addresses = [...nodes.values()].flatMap((node) => Object.values(node.addresses).map(addressOf));
  const outgoing = {
    ...(natOutgoingExclusions === "IPPoolsAndHostIPs" && { exclusions: [...new Set(addresses)].sort() }),
    ...(iptablesNATOutgoingInterfaceFilter !== undefined && { interface: iptablesNATOutgoingInterfaceFilter }),
    ...(natOutgoingAddress !== undefined && { address: natOutgoingAddress }),
    ...(natPortRange !== undefined && { ports: natPortRange }),
  };
  return Object.keys(outgoing).length === 0 ? undefined : outgoing;
}

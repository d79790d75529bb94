/**
 * The ranges of service addresses that a node announces: those of the default BGPConfiguration, whole, by every node that is not excluded.
 * kube-proxy takes the packets wherever they arrive.
 */
import type { Labels } from "../../ipam/model/selector.ts";
import type { BgpConfiguration } from "./resources.ts";

/** A node with this label announces no service. */
const excludeLabel = "node.kubernetes.io/exclude-from-external-load-balancers";

/** In the order of the text, each once. */
export function servicePrefixes(configuration: BgpConfiguration | undefined, labels: Labels): readonly string[] {
  if (configuration === undefined || Object.hasOwn(labels, excludeLabel)) return [];
  const { serviceClusterIPs, serviceExternalIPs, serviceLoadBalancerIPs } = configuration;
  const ranges = [...serviceClusterIPs, ...serviceExternalIPs, ...serviceLoadBalancerIPs];
  return [...new Set(ranges.map(({ cidr }) => cidr))].sort();
}

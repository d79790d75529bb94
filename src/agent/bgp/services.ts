/**
 * What a node announces of the cluster's services, unless it is excluded:
 *
 *     the ranges of the default BGPConfiguration                    whole, by every node: kube-proxy takes the packets wherever they arrive
 *     an address of a service with `externalTrafficPolicy: Local`   alone, by the nodes with a ready endpoint: the others would drop the packets
 *     of a load balancer, with `serviceLoadBalancerAggregation:     alone, instead of the range
 *     Disabled`
 *
 * **An address outside the ranges is never announced**, whatever a service asks for.
 */
import type { Labels } from "../../ipam/model/selector.ts";
import { contains, hostPrefix } from "../../net/prefix.ts";
import type { BgpConfiguration } from "./resources.ts";
import type { Service } from "./service.ts";

/** A node with this label announces no service. */
const excludeLabel = "node.kubernetes.io/exclude-from-external-load-balancers";

export interface ServicesOnNode {
  readonly services: readonly Service[];
  /** The services with a ready endpoint on this node, as `namespace/name`. */
  readonly local: ReadonlySet<string>;
}

/** Whether addresses of services may be announced one by one. */
export function needsServices(configuration: BgpConfiguration | undefined): boolean {
  if (configuration === undefined) return false;
  const { serviceClusterIPs, serviceExternalIPs, serviceLoadBalancerIPs } = configuration;
  return serviceClusterIPs.length + serviceExternalIPs.length + serviceLoadBalancerIPs.length > 0;
}

/** In the order of the text, each once. */
export function servicePrefixes(
  configuration: BgpConfiguration | undefined,
  labels: Labels,
  { services, local }: ServicesOnNode,
): readonly string[] {
  if (configuration === undefined || Object.hasOwn(labels, excludeLabel)) return [];
  const { serviceClusterIPs, serviceExternalIPs, serviceLoadBalancerIPs, serviceLoadBalancerAggregation } =
    configuration;
  const areSingle = serviceLoadBalancerAggregation === "Disabled";
  const whole = [...serviceClusterIPs, ...serviceExternalIPs, ...(areSingle ? [] : serviceLoadBalancerIPs)];
  const single = services.flatMap((service) => {
    const { isLocal, clusterIPs, externalIPs, loadBalancerIPs } = service;
    if (isLocal && !local.has(service.id)) return [];
    return [
      ...(isLocal ? [...inside(clusterIPs, serviceClusterIPs), ...inside(externalIPs, serviceExternalIPs)] : []),
      ...(isLocal || areSingle ? inside(loadBalancerIPs, serviceLoadBalancerIPs) : []),
    ];
  });
  return [...new Set([...whole.map(({ cidr }) => cidr), ...single])].sort();
}

function inside(addresses: readonly string[], ranges: BgpConfiguration["serviceClusterIPs"]): readonly string[] {
  return addresses.filter((address) => ranges.some(({ cidr }) => contains(cidr, address))).map(hostPrefix);
}

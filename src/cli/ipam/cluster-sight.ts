/** What a cluster's objects say of the use of addresses: its endpoints, and the tunnels of its nodes. */
import type { SeenAddress } from "../../ipam/check/report.ts";
import { canonicalAddress } from "../../net/address.ts";
import { addressOf } from "../../net/prefix.ts";
import type { StoredObject } from "../../store/object.ts";
import { list, type Transaction } from "../../store/transaction.ts";
import type { ClusterType } from "../cluster.ts";
import type { Sight } from "./snapshot.ts";

export type ClusterSight = Sight & Required<Pick<Sight, "cluster">>;

/** **A container without a pod, and a second interface of a pod, have an endpoint in etcd only.** */
export function* readSight(type: ClusterType): Transaction<ClusterSight> {
  const endpoints = (yield* list("WorkloadEndpoint")) as readonly StoredObject<EndpointSpec>[];
  const nodes = (yield* list("Node")) as readonly StoredObject<NodeSpec>[];
  return {
    endpoints: [],
    links: [],
    hasUnseen: false,
    seen: [...endpoints.flatMap(addressesOfEndpoint), ...nodes.flatMap(addressesOfNode)],
    cluster: {
      pods: new Set(endpoints.flatMap(({ metadata, spec: { pod } }) => (pod ? [`${metadata.namespace}/${pod}`] : []))),
      nodes: new Set(nodes.map(({ metadata }) => metadata.name)),
      // A pod in its node's network has none.
      endpoints: endpoints.filter(({ spec: { ipNetworks = [] } }) => ipNetworks.length > 0).length,
      hasEveryEndpoint: type === "etcdv3",
    },
  };
}

interface EndpointSpec {
  readonly node: string;
  readonly pod?: string;
  readonly workload?: string;
  readonly containerID: string;
  readonly ipNetworks?: readonly string[];
}

interface NodeSpec {
  readonly ipv4VXLANTunnelAddr?: string;
  readonly ipv6VXLANTunnelAddr?: string;
  readonly bgp?: { readonly ipv4IPIPTunnelAddr?: string };
  readonly wireguard?: { readonly interfaceIPv4Address?: string; readonly interfaceIPv6Address?: string };
}

function addressesOfEndpoint({ metadata, spec }: StoredObject<EndpointSpec>): readonly SeenAddress[] {
  const { node, pod, workload, containerID, ipNetworks = [] } = spec;
  const name = pod ?? workload;
  const who = name ? `${metadata.namespace}/${name}` : `container ${containerID}`;
  return ipNetworks.flatMap((cidr) => seen(addressOf(cidr), `${who} of node ${node}`));
}

function addressesOfNode({ metadata: { name }, spec }: StoredObject<NodeSpec>): readonly SeenAddress[] {
  const { ipv4VXLANTunnelAddr, ipv6VXLANTunnelAddr, bgp, wireguard } = spec;
  const tunnels = {
    ipv4VXLANTunnelAddr,
    ipv6VXLANTunnelAddr,
    ipv4IPIPTunnelAddr: bgp?.ipv4IPIPTunnelAddr,
    interfaceIPv4Address: wireguard?.interfaceIPv4Address,
    interfaceIPv6Address: wireguard?.interfaceIPv6Address,
  };
  return Object.entries(tunnels).flatMap(([field, address]) => seen(address, `node ${name}, its ${field}`));
}

function seen(text: string | undefined, where: string): readonly SeenAddress[] {
  const address = text === undefined ? undefined : canonicalAddress(text);
  return address === undefined ? [] : [{ address, where }];
}

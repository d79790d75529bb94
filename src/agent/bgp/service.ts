/** Of Kubernetes' services what BGP needs: the addresses of each, and which of them have a ready endpoint on this node. */
import { canonicalAddress } from "../../net/address.ts";
import type { StoredObject } from "../../store/object.ts";

export interface Service {
  /** `namespace/name`. */
  readonly id: string;
  /** Whether only nodes with an endpoint take its packets from outside: `externalTrafficPolicy: Local`. */
  readonly isLocal: boolean;
  readonly clusterIPs: readonly string[];
  readonly externalIPs: readonly string[];
  readonly loadBalancerIPs: readonly string[];
}

interface ServiceSpec {
  readonly type?: string;
  readonly clusterIP?: string;
  readonly clusterIPs?: readonly string[];
  readonly externalIPs?: readonly string[];
  readonly externalTrafficPolicy?: string;
}

interface ServiceStatus {
  readonly loadBalancer?: { readonly ingress?: readonly { readonly ip?: string }[] };
}

interface Endpoint {
  readonly nodeName?: string;
  readonly conditions?: { readonly ready?: boolean };
}

/** `undefined`: nothing of it can be announced alone. */
export function serviceOf({ metadata, spec, status }: StoredObject): Service | undefined {
  const {
    type,
    clusterIP = "",
    clusterIPs = [clusterIP],
    externalIPs = [],
    externalTrafficPolicy,
  } = spec as ServiceSpec;
  const isLocal = externalTrafficPolicy === "Local" && (type === "NodePort" || type === "LoadBalancer");
  const ingress = (status as ServiceStatus | undefined)?.loadBalancer?.ingress ?? [];
  const loadBalancerIPs = type === "LoadBalancer" ? addressesIn(ingress.map(({ ip = "" }) => ip)) : [];
  if (!isLocal && loadBalancerIPs.length === 0) return undefined;
  return {
    ...{ id: `${metadata.namespace}/${metadata.name}`, isLocal, loadBalancerIPs },
    // A headless service has "None".
    clusterIPs: addressesIn(clusterIPs),
    externalIPs: addressesIn(externalIPs),
  };
}

function addressesIn(texts: readonly string[]): readonly string[] {
  return texts.flatMap((text) => canonicalAddress(text) ?? []);
}

/** The service of an EndpointSlice that has a ready endpoint on the node, as `namespace/name`; `undefined`: it has none. */
export function localServiceOf({ metadata, endpoints }: StoredObject, node: string): string | undefined {
  const service = metadata.labels?.["kubernetes.io/service-name"];
  // Absent conditions count as ready (discovery.k8s.io/v1).
  const isHere = ({ nodeName, conditions }: Endpoint) => nodeName === node && conditions?.ready !== false;
  if (service === undefined || !((endpoints ?? []) as readonly Endpoint[]).some(isHere)) return undefined;
  return `${metadata.namespace}/${service}`;
}

/**
 * A pod's floating IPs, from its WorkloadEndpoint: `ipNATs`, or in Kubernetes the pod's annotation, which Calico's agent also reads again whenever the pod
 * changes.
 */
import { canonicalAddress, familyOf } from "../../net/address.ts";
import { addressOf } from "../../net/prefix.ts";
import type { StoredObject } from "../../store/object.ts";

export interface FloatingEndpoint {
  /** `namespace/pod`, or what the endpoint is called otherwise. */
  readonly name: string;
  readonly hostInterface: string;
  /** Canonical, of one family each. */
  readonly nats: readonly { readonly external: string; readonly internal: string }[];
}

const annotation = "cni.projectcalico.org/floatingIPs";

interface EndpointSpec {
  readonly node?: unknown;
  readonly pod?: unknown;
  readonly interfaceName?: unknown;
  readonly ipNetworks?: unknown;
  readonly ipNATs?: unknown;
}

/** `undefined` for an endpoint of another node, or without floating IPs. What is not valid counts as missing. */
export function floatingEndpointOf({ metadata, spec }: StoredObject, ownNode: string): FloatingEndpoint | undefined {
  const { node, pod, interfaceName, ipNetworks, ipNATs } = (spec ?? {}) as EndpointSpec;
  if (node !== ownNode || typeof interfaceName !== "string") return undefined;
  const addresses = listOf(ipNetworks).flatMap((text) => canonical(text) ?? []);
  const nats = ipNATs === undefined ? annotated(metadata.annotations?.[annotation], addresses) : recorded(ipNATs);
  if (nats.length === 0) return undefined;
  return { name: `${metadata.namespace}/${pod ?? metadata.name}`, hostInterface: interfaceName, nats };
}

function recorded(ipNats: unknown): FloatingEndpoint["nats"] {
  return listOf(ipNats).flatMap((one) => {
    const { internalIP, externalIP } = (one ?? {}) as { readonly internalIP?: unknown; readonly externalIP?: unknown };
    const [internal, external] = [canonical(internalIP), canonical(externalIP)];
    if (internal === undefined || external === undefined || familyOf(internal) !== familyOf(external)) return [];
    return [{ external, internal }];
  });
}

/** Each leads to the pod's first address of its family. */
function annotated(text: string | undefined, addresses: readonly string[]): FloatingEndpoint["nats"] {
  return listIn(text).flatMap((one) => {
    const external = canonical(one);
    const internal = external && addresses.find((address) => familyOf(address) === familyOf(external));
    return external === undefined || internal === undefined ? [] : [{ external, internal }];
  });
}

function listIn(text: string | undefined): readonly unknown[] {
  try {
    return listOf(JSON.parse(text ?? "[]"));
  } catch {
    return [];
  }
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function canonical(text: unknown): string | undefined {
  return typeof text === "string" ? canonicalAddress(addressOf(text)) : undefined;
}

/**
 * What a pod's WorkloadEndpoint asks of its node's network: floating IPs and sources beside its addresses. In Kubernetes the pod's annotations say it, which Calico's
 * agent also reads again whenever the pod changes.
 */
import { annotationPrefix } from "../identity/pod.ts";
import { canonicalAddress, familyOf } from "../net/address.ts";
import { addressOf, canonicalPrefix, maskPrefix } from "../net/prefix.ts";
import type { StoredObject } from "../store/object.ts";

export interface NetworkEndpoint {
  /** `namespace/pod`, or what the endpoint is called otherwise. */
  readonly name: string;
  readonly hostInterface: string;
  /** Its floating IPs: canonical, of one family each. */
  readonly nats: readonly { readonly external: string; readonly internal: string }[];
  /** Canonical networks from which it may send, beside its addresses. */
  readonly sources: readonly string[];
}

interface EndpointSpec {
  readonly node?: unknown;
  readonly pod?: unknown;
  readonly interfaceName?: unknown;
  readonly ipNetworks?: unknown;
  readonly ipNATs?: unknown;
  readonly allowSpoofedSourcePrefixes?: unknown;
}

/** `undefined` for an endpoint of another node, or that asks for nothing. What is not valid counts as missing. */
export function networkEndpointOf({ metadata, spec }: StoredObject, ownNode: string): NetworkEndpoint | undefined {
  const { node, pod, interfaceName, ipNetworks, ipNATs, allowSpoofedSourcePrefixes } = (spec ?? {}) as EndpointSpec;
  if (node !== ownNode || typeof interfaceName !== "string") return undefined;
  const annotated = (name: string) => listIn(metadata.annotations?.[annotationPrefix + name]);
  const addresses = listOf(ipNetworks).flatMap((text) => canonical(text) ?? []);
  const nats = ipNATs === undefined ? natsOf(annotated("floatingIPs"), addresses) : recorded(ipNATs);
  const prefixes = allowSpoofedSourcePrefixes ?? annotated("allowedSourcePrefixes");
  const sources = [...new Set(listOf(prefixes).flatMap((text) => network(text) ?? []))].sort();
  if (nats.length + sources.length === 0) return undefined;
  return { name: `${metadata.namespace}/${pod ?? metadata.name}`, hostInterface: interfaceName, nats, sources };
}

function recorded(ipNats: unknown): NetworkEndpoint["nats"] {
  return listOf(ipNats).flatMap((one) => {
    const { internalIP, externalIP } = (one ?? {}) as { readonly internalIP?: unknown; readonly externalIP?: unknown };
    const [internal, external] = [canonical(internalIP), canonical(externalIP)];
    if (internal === undefined || external === undefined || familyOf(internal) !== familyOf(external)) return [];
    return [{ external, internal }];
  });
}

/** Each leads to the pod's first address of its family. */
function natsOf(floatingIps: readonly unknown[], addresses: readonly string[]): NetworkEndpoint["nats"] {
  return floatingIps.flatMap((one) => {
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

function network(text: unknown): string | undefined {
  const prefix = typeof text === "string" ? canonicalPrefix(text) : undefined;
  return prefix && maskPrefix(prefix);
}

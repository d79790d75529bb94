/**
 * Calico's annotations of a pod, without the Kubernetes API: containerd and CRI-O pass a pod's annotations to plugins that declare the capability
 * `io.kubernetes.cri.pod-annotations`.
 *
 *     cni.projectcalico.org/ipAddrs: '["10.65.0.7"]'      requested addresses, one per family
 *     cni.projectcalico.org/ipv4pools: '["pool-a"]'       replaces `ipv4_pools`; likewise ipv6pools
 *     cni.projectcalico.org/ipFamilies: '["IPv6"]'        replaces `assign_ipv4` and `assign_ipv6`
 *     cni.projectcalico.org/hwAddr: 0a:00:00:00:00:07     the MAC address
 */
import { CniError, code } from "../cni/error.ts";
import { annotationPrefix } from "../identity/pod.ts";
import { usesAgent } from "./node-agent.ts";
import type { JsonObject } from "./plugin.ts";
import { type Feature, isFeatureOn } from "./unsupported.ts";

export const annotationsCapability = "io.kubernetes.cri.pod-annotations";

export type Annotations = Readonly<Record<string, string>>;

/** `undefined` if the pod does not have the annotation. */
export function annotation(annotations: Annotations | undefined, name: string): string | undefined {
  return annotations?.[annotationPrefix + name] || undefined;
}

/** The same for a list of strings. Throws `CniError` 7 for anything else. */
export function listAnnotation(annotations: Annotations | undefined, name: string): readonly string[] | undefined {
  const text = annotation(annotations, name);
  if (text === undefined) return undefined;
  let list: unknown;
  try {
    list = JSON.parse(text);
  } catch {
    // Reported below, like any value that is not a list.
  }
  if (Array.isArray(list) && list.length > 0 && list.every((item) => typeof item === "string")) return list;
  throw badAnnotation(name, text, 'must be a JSON list of strings, like ["a", "b"]');
}

export function badAnnotation(name: string, value: unknown, reason: string): CniError {
  return new CniError(
    code.invalidConfig,
    `cannot use annotation "${annotationPrefix}${name}" with value ${JSON.stringify(value)}: ${reason}`,
  );
}

const gated: readonly (readonly [name: string, feature: Feature])[] = [
  ["ipAddrsNoIpam", "ip_addrs_no_ipam"],
  ["floatingIPs", "floating_ips"],
];

/** Throws `CniError` 2 for an annotation that needs a cluster's datastore and a feature that the configuration does not enable. */
export function refuseAnnotations(annotations: Annotations | undefined, document: JsonObject): void {
  for (const [name, feature] of gated) {
    const value = annotation(annotations, name);
    if (value === undefined || (usesAgent(document) && isFeatureOn(document, feature))) continue;
    const reason = usesAgent(document)
      ? `set "feature_control.${feature}" to true, or remove the annotation`
      : "this version cannot honour it; remove the annotation";
    throw new CniError(code.unsupportedField, badAnnotation(name, value, reason).message);
  }
}

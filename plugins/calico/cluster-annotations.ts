/**
 * Annotations of a pod that need a cluster's datastore. They are read before anything is assigned, so that a bad one leaves nothing behind.
 *
 *     ipAddrsNoIpam           the pod's addresses; the IPAM plugin is not called     needs `feature_control.ip_addrs_no_ipam`
 *     floatingIPs             `ipNATs` of the endpoint; the node agent makes the NAT needs `feature_control.floating_ips`
 *     allowedSourcePrefixes   `allowSpoofedSourcePrefixes` of the endpoint           the node agent checks sources
 *
 * In Kubernetes, the annotations themselves are the record. They are the pod's, and apply to its first interface.
 */
import { CniError, code } from "../../src/cni/error.ts";
import { podOf } from "../../src/cni/pod.ts";
import type { Result } from "../../src/cni/result.ts";
import { canonicalAddress, familyOf } from "../../src/net/address.ts";
import { addressOf, canonicalPrefix, hostPrefix, maskPrefix } from "../../src/net/prefix.ts";
import type { NatMessage } from "../../src/node-protocol/messages.ts";
import { usesAgent } from "../../src/plugin/node-agent.ts";
import type { AddRequest } from "../../src/plugin/plugin.ts";
import { annotation, badAnnotation, listAnnotation, refuseAnnotations } from "../../src/plugin/pod-annotations.ts";
import { isFeatureOn } from "../../src/plugin/unsupported.ts";
import type { CalicoConf } from "./conf.ts";

export interface ClusterAnnotations {
  /** The result that replaces the IPAM plugin's. */
  readonly withoutIpam?: Result;
  /** Canonical. */
  readonly floatingIps: readonly string[];
  /** Canonical networks. */
  readonly allowedSources: readonly string[];
}

const none: ClusterAnnotations = { floatingIps: [], allowedSources: [] };

/** Throws `CniError` 2 for an annotation whose feature is off, 7 for a bad one. */
export function clusterAnnotations({
  attachment,
  args,
  conf,
  document,
}: Pick<AddRequest<CalicoConf>, "attachment" | "args" | "conf" | "document">): ClusterAnnotations {
  if (!usesAgent(document)) return none;
  if (podOf(args) === undefined && isFeatureOn(document, "ip_addrs_no_ipam"))
    throw new CniError(
      code.invalidConfig,
      'cannot use key "feature_control.ip_addrs_no_ipam" with value true: only pods of Kubernetes can have addresses without IPAM',
    );
  const { annotations } = conf;
  if (annotations === undefined || attachment.ifname !== "eth0") return none;
  refuseAnnotations(annotations, document);
  const addresses = addressesIn(conf);
  return {
    ...(addresses && { withoutIpam: { ips: addresses.map((address) => ({ address: hostPrefix(address) })) } }),
    floatingIps: (listAnnotation(annotations, "floatingIPs") ?? []).map((text) => addressIn("floatingIPs", text)),
    allowedSources: (listAnnotation(annotations, "allowedSourcePrefixes") ?? []).map(networkIn),
  };
}

function addressesIn({ annotations, ipamType }: CalicoConf): readonly string[] | undefined {
  const name = "ipAddrsNoIpam";
  const texts = listAnnotation(annotations, name);
  if (texts === undefined) return undefined;
  const refuse = (reason: string) => badAnnotation(name, texts.join(","), reason);
  if (annotation(annotations, "ipAddrs") !== undefined)
    throw refuse('the pod has annotation "ipAddrs" too; remove one');
  if (ipamType !== "calico-ipam") throw refuse(`it needs "ipam.type" "calico-ipam", not "${ipamType}"`);
  const addresses = texts.map((text) => addressIn(name, text));
  if (new Set(addresses.map(familyOf)).size === addresses.length) return addresses;
  throw refuse("want one address of each family at most");
}

function addressIn(name: string, text: string): string {
  const address = canonicalAddress(text);
  if (address === undefined) throw badAnnotation(name, text, "not an IP address");
  return address;
}

function networkIn(text: string): string {
  const prefix = canonicalPrefix(text);
  if (prefix === undefined) throw badAnnotation("allowedSourcePrefixes", text, "not a CIDR");
  return maskPrefix(prefix);
}

/** Each floating IP leads to the pod's address of its family. `addresses`: with prefix lengths. Throws `CniError` 7 if there is none. */
export function natsOf(floatingIps: readonly string[], addresses: readonly string[]): readonly NatMessage[] {
  return floatingIps.map((externalIP) => {
    const family = familyOf(externalIP);
    const internal = addresses.find((address) => familyOf(address) === family);
    if (internal === undefined) throw badAnnotation("floatingIPs", externalIP, `the pod has no IPv${family} address`);
    return { internalIP: addressOf(internal), externalIP };
  });
}

/**
 * Gateways that an IPAM plugin names. A routed interface has none of them, so ADD's result leaves them out, as Calico's does; the
 * endpoint's record keeps them for the IPAM plugin's CHECK (the reference's `static` compares them).
 */
import type { IpConfig, Result } from "../../src/cni/result.ts";
import { canonicalAddress, familyOf } from "../../src/net/address.ts";
import type { JsonObject } from "../../src/plugin/plugin.ts";

export function gatewaysIn({ ips = [] }: Result): readonly string[] {
  return ips.flatMap(({ gateway }) => canonicalAddress(gateway ?? "") ?? []);
}

/** The document of a CHECK, with the first gateway of its family at each address of `prevResult`. */
export function withGateways(document: JsonObject, gateways: readonly string[]): JsonObject {
  const prevResult = document.prevResult as { readonly ips?: readonly IpConfig[] } | undefined;
  if (gateways.length === 0 || !prevResult?.ips) return document;
  const ips = prevResult.ips.map((ip) => {
    const gateway = gateways.find((one) => familyOf(one) === familyOf(ip.address));
    return gateway === undefined ? ip : { ...ip, gateway };
  });
  return { ...document, prevResult: { ...prevResult, ips } };
}

/** A node of the cluster, by what other nodes must know to send packets to its pods: from Calico's Node. */
import { canonicalAddress, type Family, familyOf } from "../net/address.ts";
import { sha1 } from "../net/digest.ts";
import { canonicalMac } from "../net/mac.ts";
import { addressOf, canonicalPrefix, hostPrefix } from "../net/prefix.ts";
import type { StoredObject } from "../store/object.ts";

export interface NetworkNode {
  readonly name: string;
  /** Its addresses, with the lengths of their networks. */
  readonly addresses: Readonly<Partial<Record<Family, string>>>;
  /** The addresses of its VXLAN devices. */
  readonly vxlanAddresses: Readonly<Partial<Record<Family, string>>>;
  /** Their MAC addresses, from the Node or from the node's name. */
  readonly vxlanMacs: Readonly<Record<Family, string>>;
  /** The address of its IPIP device. */
  readonly ipipAddress: string | undefined;
}

interface NodeSpec {
  readonly bgp?: {
    readonly ipv4Address?: unknown;
    readonly ipv6Address?: unknown;
    readonly ipv4IPIPTunnelAddr?: unknown;
  };
  readonly ipv4VXLANTunnelAddr?: unknown;
  readonly ipv6VXLANTunnelAddr?: unknown;
  readonly vxlanTunnelMACAddr?: unknown;
  readonly vxlanTunnelMACAddrV6?: unknown;
}

/** What is not valid counts as missing. */
export function networkNodeOf({ metadata: { name }, spec }: StoredObject): NetworkNode {
  const { bgp = {}, ...node } = (spec ?? {}) as NodeSpec;
  return {
    name,
    addresses: {
      ...family(4, prefixIn(bgp.ipv4Address, 4)),
      ...family(6, prefixIn(bgp.ipv6Address, 6)),
    },
    vxlanAddresses: {
      ...family(4, addressIn(node.ipv4VXLANTunnelAddr, 4)),
      ...family(6, addressIn(node.ipv6VXLANTunnelAddr, 6)),
    },
    vxlanMacs: {
      4: macIn(node.vxlanTunnelMACAddr) ?? vxlanMacOf(name, 4),
      6: macIn(node.vxlanTunnelMACAddrV6) ?? vxlanMacOf(name, 6),
    },
    ipipAddress: addressIn(bgp.ipv4IPIPTunnelAddr, 4),
  };
}

/** Calico's: `66:` and the first five bytes of the SHA-1 of the node's name, for IPv6 with `-v6` behind it. */
export function vxlanMacOf(node: string, ofFamily: Family): string {
  const digest = sha1(ofFamily === 4 ? node : `${node}-v6`);
  return `66:${(digest.slice(0, 10).match(/../g) ?? []).join(":")}`;
}

function family(which: Family, value: string | undefined): Partial<Record<Family, string>> {
  return value === undefined ? {} : { [which]: value };
}

function prefixIn(text: unknown, wanted: Family): string | undefined {
  if (typeof text !== "string") return undefined;
  const prefix = text.includes("/") ? canonicalPrefix(text) : addressIn(text, wanted);
  if (prefix === undefined || familyOf(prefix) !== wanted) return undefined;
  return prefix.includes("/") ? prefix : hostPrefix(prefix);
}

function addressIn(text: unknown, wanted: Family): string | undefined {
  const address = typeof text === "string" ? canonicalAddress(addressOf(text)) : undefined;
  return address !== undefined && familyOf(address) === wanted ? address : undefined;
}

function macIn(text: unknown): string | undefined {
  return typeof text === "string" ? canonicalMac(text) : undefined;
}

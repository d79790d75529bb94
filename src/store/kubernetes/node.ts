/**
 * Calico's Node is Kubernetes' Node: its spec is stored in annotations, which are written through `nodes/status`.
 *
 *     projectcalico.org/IPv4Address: 172.31.250.7/24       spec.bgp.ipv4Address
 *     projectcalico.org/VXLANTunnelMACAddr: 66:00:…        spec.vxlanTunnelMACAddr
 */
import type { StoredObject } from "../object.ts";
import type { Raw } from "./resources.ts";

type Fields = Record<string, unknown>;

/** By their path in the object. */
const annotations: Readonly<Record<string, string>> = {
  "spec.bgp.ipv4Address": "IPv4Address",
  "spec.bgp.ipv6Address": "IPv6Address",
  "spec.bgp.asNumber": "ASNumber",
  "spec.bgp.ipv4IPIPTunnelAddr": "IPv4IPIPTunnelAddr",
  "spec.bgp.routeReflectorClusterID": "RouteReflectorClusterID",
  "spec.ipv4VXLANTunnelAddr": "IPv4VXLANTunnelAddr",
  "spec.vxlanTunnelMACAddr": "VXLANTunnelMACAddr",
  "spec.ipv6VXLANTunnelAddr": "IPv6VXLANTunnelAddr",
  "spec.vxlanTunnelMACAddrV6": "VXLANTunnelMACAddrV6",
  "spec.wireguard.interfaceIPv4Address": "IPv4WireguardInterfaceAddr",
  "spec.wireguard.interfaceIPv6Address": "IPv6WireguardInterfaceAddr",
  "status.wireguardPublicKey": "WireguardPublicKey",
  "status.wireguardPublicKeyV6": "WireguardPublicKeyV6",
};

const asNumber = "spec.bgp.asNumber";

export function decodeNode({ metadata, spec, status }: Raw): StoredObject {
  const { annotations: found = {}, managedFields: _managed, ...others } = metadata;
  const { podCIDRs } = (spec ?? {}) as { readonly podCIDRs?: readonly string[] };
  const { addresses = [] } = (status ?? {}) as { readonly addresses?: readonly Fields[] };
  const node: { spec: Fields; status: Fields } = {
    spec: {
      orchRefs: [{ nodeName: metadata.name, orchestrator: "k8s" }],
      addresses: addresses.filter(({ type }) => type === "InternalIP" || type === "ExternalIP"),
    },
    status: podCIDRs === undefined ? {} : { podCIDRs },
  };
  for (const [place, name] of Object.entries(annotations)) {
    const text = found[`projectcalico.org/${name}`];
    if (text !== undefined) put(node, place.split("."), place === asNumber ? Number(text) : text);
  }
  return { apiVersion: "projectcalico.org/v3", kind: "Node", metadata: others, ...node };
}

/** A merge patch of `nodes/status`, which removes what the object no longer has. It fails if the node was changed since it was read. */
export function patchOfNode(node: StoredObject): object {
  const entries = Object.entries(annotations).map(([place, name]) => {
    const value = valueAt(node, place.split("."));
    return [`projectcalico.org/${name}`, value === undefined || value === "" ? null : String(value)];
  });
  const { resourceVersion } = node.metadata;
  return { metadata: { resourceVersion, annotations: Object.fromEntries(entries) } };
}

function put(into: Fields, [name = "", ...rest]: readonly string[], value: unknown): void {
  if (rest.length === 0) into[name] = value;
  else {
    into[name] ??= {};
    put(into[name] as Fields, rest, value);
  }
}

function valueAt(from: unknown, [name, ...rest]: readonly string[]): unknown {
  return name === undefined ? from : valueAt((from as Fields | undefined)?.[name], rest);
}

/** The addresses of its tunnel devices that a node publishes in its Node. */

import { vxlanMacOf } from "../../cluster-network/network-node.ts";
import type { StoredObject } from "../../store/object.ts";
import { TooManyConflicts } from "../../store/too-many-conflicts.ts";
import { maxTries, pause, read, type Transaction, update } from "../../store/transaction.ts";

export type TunnelField = "vxlan4" | "vxlan6" | "ipip";

type Fields = Readonly<Record<string, unknown>>;

/** What the Node names; `undefined`: nothing, or there is no Node. */
export function* namedTunnel(node: string, field: TunnelField): Transaction<string | undefined> {
  const object = yield* read({ kind: "Node", name: node });
  const found = object === undefined ? undefined : named(object, field);
  return typeof found === "string" && found !== "" ? found : undefined;
}

/** Writes the address, and beside a VXLAN device's its MAC address if the Node names none. `undefined` removes the address. */
export function* writeTunnel(node: string, field: TunnelField, address: string | undefined): Transaction<void> {
  for (let tries = 0; tries < maxTries; tries++) {
    yield* pause(tries);
    const object = yield* read({ kind: "Node", name: node });
    if (object === undefined) return;
    const spec = withTunnel(object, field, address);
    if (JSON.stringify(spec) === JSON.stringify(object.spec)) return;
    if ((yield* update({ ...object, spec })) !== undefined) return;
  }
  throw new TooManyConflicts(`record the tunnel address of node "${node}"`);
}

function named({ spec }: StoredObject, field: TunnelField): unknown {
  const fields = (spec ?? {}) as Fields;
  if (field === "ipip") return (fields.bgp as Fields | undefined)?.ipv4IPIPTunnelAddr;
  return fields[field === "vxlan4" ? "ipv4VXLANTunnelAddr" : "ipv6VXLANTunnelAddr"];
}

function withTunnel({ metadata, spec }: StoredObject, field: TunnelField, address: string | undefined): Fields {
  const fields = (spec ?? {}) as Fields;
  if (field === "ipip") {
    const { ipv4IPIPTunnelAddr: _former, ...bgp } = (fields.bgp ?? {}) as Fields;
    const all = { ...bgp, ...(address !== undefined && { ipv4IPIPTunnelAddr: address }) };
    return named({ metadata, spec } as StoredObject, field) === address ? fields : { ...fields, bgp: all };
  }
  const [name, macName, family] =
    field === "vxlan4"
      ? (["ipv4VXLANTunnelAddr", "vxlanTunnelMACAddr", 4] as const)
      : (["ipv6VXLANTunnelAddr", "vxlanTunnelMACAddrV6", 6] as const);
  const { [name]: _former, ...others } = fields;
  if (address === undefined) return name in fields ? others : fields;
  const mac = fields[macName] || vxlanMacOf(metadata.name, family);
  return { ...fields, [name]: address, [macName]: mac };
}

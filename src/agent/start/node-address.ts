/** This node's own addresses: from the settings, from the Node, or detected. */

import { CoreError } from "../../errors/core-error.ts";
import type { Family } from "../../net/address.ts";
import { addressOf } from "../../net/prefix.ts";
import type { StoredObject } from "../../store/object.ts";
import { chooseAddress, type NodeInterface, withNetwork } from "../address/choose.ts";
import type { Method } from "../address/method.ts";
import type { OwnAddress } from "../settings/read.ts";

/** What the agent reads from the node. */
export interface NodeFacts {
  /** Interfaces that are up, by index. */
  interfaces(): readonly NodeInterface[];
  sourceTo(host: string, family: Family): Promise<string | undefined>;
}

class AddressNotFound extends CoreError {
  override readonly name = "AddressNotFound";
  readonly kind = "invalid";

  constructor(family: Family, method: Method) {
    const setting = family === 4 ? "IP" : "IP6";
    super(
      `cannot find this node's IPv${family} address by "${method.kind}"; ` +
        `set ${setting}_AUTODETECTION_METHOD, or ${setting} to the address or to none`,
    );
  }
}

export type NodeAddresses = Readonly<Partial<Record<Family, string>>>;

/** With prefix lengths. `node` is the Node in the datastore. Rejects with `AddressNotFound`. */
export async function ownAddresses(
  wanted: Readonly<Record<Family, OwnAddress>>,
  node: StoredObject | undefined,
  facts: NodeFacts,
): Promise<NodeAddresses> {
  const found: { [family in Family]?: string } = {};
  for (const family of [4, 6] as const) {
    const address = await ownAddress(family, wanted[family], node, facts);
    if (address !== undefined) found[family] = address;
  }
  return found;
}

/** As in Calico, IPv4 is detected by default, IPv6 only on request. */
async function ownAddress(
  family: Family,
  { wanted, method }: OwnAddress,
  node: StoredObject | undefined,
  facts: NodeFacts,
): Promise<string | undefined> {
  const recorded = recordedAddresses(node)[family];
  if (wanted === "none" || (wanted === "unset" && (recorded !== undefined || family === 6))) return recorded;
  const interfaces = facts.interfaces();
  if (wanted !== "unset" && wanted !== "autodetect") {
    return wanted.includes("/") ? wanted : withNetwork(wanted, interfaces);
  }
  const source = method.kind === "can-reach" ? await facts.sourceTo(method.host, family) : undefined;
  const chosen = chooseAddress(method, family, { interfaces, source, internalAddresses: internalAddresses(node) });
  if (chosen !== undefined) return chosen;
  // An interface may be down for a moment.
  if (recorded !== undefined) return recorded;
  throw new AddressNotFound(family, method);
}

interface NodeSpec {
  readonly bgp?: { readonly ipv4Address?: unknown; readonly ipv6Address?: unknown };
  readonly addresses?: readonly { readonly type?: unknown; readonly address?: unknown }[];
}

/** The addresses recorded in a Node. */
export function recordedAddresses(node: StoredObject | undefined): NodeAddresses {
  const { ipv4Address, ipv6Address } = ((node?.spec ?? {}) as NodeSpec).bgp ?? {};
  return {
    ...(typeof ipv4Address === "string" && ipv4Address !== "" && { 4: ipv4Address }),
    ...(typeof ipv6Address === "string" && ipv6Address !== "" && { 6: ipv6Address }),
  };
}

/** Addresses of Kubernetes' type InternalIP. */
function internalAddresses(node: StoredObject | undefined): readonly string[] {
  const { addresses = [] } = (node?.spec ?? {}) as NodeSpec;
  return addresses.flatMap(({ type, address }) =>
    type === "InternalIP" && typeof address === "string" ? addressOf(address) : [],
  );
}

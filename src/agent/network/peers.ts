/** The other nodes as this one sees them. Nodes that claim the same addresses are named, and left out. */

import type { NetworkNode } from "../../cluster-network/network-node.ts";
import type { Family } from "../../net/address.ts";
import { addressOf, contains, lengthOf } from "../../net/prefix.ts";
import type { Snapshot } from "./snapshot.ts";
import type { Trouble } from "./trouble.ts";

/** Another node that packets can be sent to. */
export interface Peer {
  readonly name: string;
  readonly address: string;
  /** Whether it is in the subnet of this node's address. */
  readonly isInSubnet: boolean;
  /** Its VXLAN device, unless another node claims the same address or MAC address. */
  readonly vxlan: { readonly address: string; readonly mac: string } | undefined;
  readonly ipipAddress: string | undefined;
}

/** `prefix`: this node's address. */
export function peersOf(
  snapshot: Snapshot,
  own: NetworkNode,
  prefix: string,
  family: Family,
): { readonly peers: ReadonlyMap<string, Peer>; readonly troubles: Trouble[] } {
  const others = [...snapshot.nodes.values()].filter(({ name }) => name !== own.name).sort(byName);
  const { conflicted, troubles } = conflictsAmong([own, ...others].sort(byName), family);
  const peers = new Map<string, Peer>();
  for (const node of others) {
    const found = node.addresses[family];
    if (found === undefined) continue;
    const address = addressOf(found);
    if (address === addressOf(prefix)) {
      troubles.push(sameAddress(node.name, address));
      continue;
    }
    const tunnel = node.vxlanAddresses[family];
    peers.set(node.name, {
      name: node.name,
      address,
      isInSubnet: lengthOf(prefix) < lengthOf(address) && contains(prefix, address),
      vxlan:
        tunnel === undefined || conflicted.has(node.name)
          ? undefined
          : { address: tunnel, mac: node.vxlanMacs[family] },
      ipipAddress: family === 4 ? node.ipipAddress : undefined,
    });
  }
  return { peers, troubles };
}

function byName({ name: one }: NetworkNode, { name: other }: NetworkNode): number {
  return one < other ? -1 : Number(one > other);
}

function sameAddress(node: string, address: string): Trouble {
  return {
    about: `address of ${node}`,
    message: `cannot route to node "${node}": it has this node's own address ${address}; delete the Node that is gone, or give one of them another address`,
  };
}

/** Two devices with one address: each packet would reach an arbitrary one of them. */
function conflictsAmong(
  nodes: readonly NetworkNode[],
  family: Family,
): { readonly conflicted: ReadonlySet<string>; readonly troubles: Trouble[] } {
  const conflicted = new Set<string>();
  const troubles: Trouble[] = [];
  const claims = new Map<string, { readonly what: Claim; readonly claimants: NetworkNode[] }>();
  for (const node of nodes) {
    const address = node.vxlanAddresses[family];
    if (address === undefined) continue;
    for (const [what, value] of [
      ["tunnel address", address],
      ["tunnel MAC address", node.vxlanMacs[family]],
    ] as const) {
      const name = `${what} ${value}`;
      const claim = claims.get(name) ?? { what, claimants: [] };
      claim.claimants.push(node);
      claims.set(name, claim);
    }
  }
  for (const [claim, { what, claimants }] of claims) {
    if (claimants.length < 2) continue;
    for (const { name } of claimants) conflicted.add(name);
    const names = claimants.map(({ name }) => `"${name}"`).join(" and ");
    troubles.push({
      about: claim,
      message: `cannot route by VXLAN to nodes ${names}: they have the same ${claim}; ${remedy(what, family)}`,
    });
  }
  return { conflicted, troubles };
}

type Claim = "tunnel address" | "tunnel MAC address";

/** Where a Node has them. */
const fields: Readonly<Record<Claim, Readonly<Record<Family, string>>>> = {
  "tunnel address": { 4: "IPv4VXLANTunnelAddr", 6: "IPv6VXLANTunnelAddr" },
  "tunnel MAC address": { 4: "VXLANTunnelMACAddr", 6: "VXLANTunnelMACAddrV6" },
};

function remedy(what: Claim, family: Family): string {
  return `remove the annotation projectcalico.org/${fields[what][family]} (etcd: the field of the Node's spec) from all but one, and its agent sets another`;
}

/** The network of one address family as this node sees it: its uplink, its peers, and its tunnel devices. */
import { type Family, familyOf } from "../../net/address.ts";
import { addressOf, contains, lengthOf } from "../../net/prefix.ts";
import { tunnelMtu } from "./mtu.ts";
import { ipipDevice, vxlanDevices } from "./names.ts";
import type { NetworkNode } from "./network-node.ts";
import { defaultVni, defaultVxlanPort } from "./network-settings.ts";
import type { LocalLink, Snapshot } from "./snapshot.ts";
import type { Trouble } from "./trouble.ts";

export interface Tunnel {
  readonly device: string;
  readonly mtu: number;
  /** This node's. */
  readonly address: string;
}

export interface VxlanTunnel extends Tunnel {
  readonly mac: string;
  readonly vni: number;
  readonly port: number;
}

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

export interface Site {
  readonly family: Family;
  /** The interface with this node's address. */
  readonly uplink: LocalLink;
  readonly address: string;
  /** In the order of their names. */
  readonly peers: ReadonlyMap<string, Peer>;
  readonly vxlan: VxlanTunnel | undefined;
  readonly ipip: Tunnel | undefined;
}

export interface SiteView {
  /** `undefined`: this node takes no part in a network of the family. */
  readonly site: Site | undefined;
  readonly troubles: readonly Trouble[];
}

export function viewSite(snapshot: Snapshot, family: Family): SiteView {
  const own = snapshot.nodes.get(snapshot.node);
  const prefix = own?.addresses[family];
  if (own === undefined || prefix === undefined) return { site: undefined, troubles: [] };
  const address = addressOf(prefix);
  const uplink = snapshot.links.find((link) => isUplink(link, address));
  if (uplink === undefined) return { site: undefined, troubles: [noUplink(address)] };
  const { peers, troubles } = peersOf(snapshot, own, prefix, family);
  const uses = (encapsulation: string) =>
    snapshot.pools.some((pool) => pool.family === family && pool.encapsulation === encapsulation);
  const vxlan = uses("vxlan") ? vxlanOf(snapshot, own, uplink, family) : undefined;
  const ipip = family === 4 && uses("ipip") ? ipipOf(snapshot, own, uplink) : undefined;
  return { site: { family, uplink, address, peers, vxlan, ipip }, troubles };
}

function isUplink({ name, addresses }: LocalLink, address: string): boolean {
  const isTunnel = name === ipipDevice || Object.values(vxlanDevices).includes(name);
  return !isTunnel && addresses.some((one) => addressOf(one) === address);
}

function noUplink(address: string): Trouble {
  return {
    about: `uplink ${familyOf(address)}`,
    message:
      `cannot route to other nodes: no interface that is up has this node's address ${address}; ` +
      "the routes of before stay until one has it, or the Node has another address",
    isOwn: true,
  };
}

function vxlanOf({ settings }: Snapshot, own: NetworkNode, uplink: LocalLink, family: Family): VxlanTunnel | undefined {
  const address = own.vxlanAddresses[family];
  if (address === undefined) return undefined;
  return {
    device: vxlanDevices[family],
    mtu: tunnelMtu(uplink.mtu, family === 4 ? "vxlan" : "vxlan-v6", settings),
    address,
    mac: own.vxlanMacs[family],
    vni: settings.vxlanVNI ?? defaultVni,
    port: settings.vxlanPort ?? defaultVxlanPort,
  };
}

function ipipOf({ settings }: Snapshot, own: NetworkNode, uplink: LocalLink): Tunnel | undefined {
  const { ipipAddress } = own;
  if (ipipAddress === undefined) return undefined;
  return { device: ipipDevice, mtu: tunnelMtu(uplink.mtu, "ipip", settings), address: ipipAddress };
}

function peersOf(
  snapshot: Snapshot,
  own: NetworkNode,
  prefix: string,
  family: Family,
): { readonly peers: ReadonlyMap<string, Peer>; readonly troubles: readonly Trouble[] } {
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
  const claims = new Map<string, NetworkNode[]>();
  for (const node of nodes) {
    const address = node.vxlanAddresses[family];
    if (address === undefined) continue;
    for (const claim of [`tunnel address ${address}`, `tunnel MAC address ${node.vxlanMacs[family]}`]) {
      const claimants = claims.get(claim) ?? [];
      claimants.push(node);
      claims.set(claim, claimants);
    }
  }
  for (const [claim, claimants] of claims) {
    if (claimants.length < 2) continue;
    for (const { name } of claimants) conflicted.add(name);
    const names = claimants.map(({ name }) => `"${name}"`).join(" and ");
    troubles.push({
      about: claim,
      message: `cannot route by VXLAN to nodes ${names}: they have the same ${claim}; ${remedy(claim, family)}`,
    });
  }
  return { conflicted, troubles };
}

function remedy(claim: string, family: Family): string {
  const isMac = claim.startsWith("tunnel MAC");
  const field = isMac
    ? { 4: "VXLANTunnelMACAddr", 6: "VXLANTunnelMACAddrV6" }[family]
    : { 4: "IPv4VXLANTunnelAddr", 6: "IPv6VXLANTunnelAddr" }[family];
  return `remove the annotation projectcalico.org/${field} (etcd: the field of the Node's spec) from all but one, and its agent sets another`;
}

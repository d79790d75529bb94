/** The network of one address family as this node sees it: its uplink, its peers, and its tunnel devices. */

import { tunnelMtu } from "../../cluster-network/mtu.ts";
import type { NetworkNode } from "../../cluster-network/network-node.ts";
import type { Encapsulation, NetworkPool } from "../../cluster-network/network-pool.ts";
import { defaultVni, defaultVxlanPort, isChecksumOffloadBroken } from "../../cluster-network/network-settings.ts";
import { ipipDevice, vxlanDevices } from "../../identity/names.ts";
import { needsEvaluation } from "../../ipam/model/labels.ts";
import { type Family, familyOf } from "../../net/address.ts";
import { addressOf } from "../../net/prefix.ts";
import { type Peer, peersOf } from "./peers.ts";
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
  readonly isChecksumOffloadBroken: boolean;
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
  const using = (encapsulation: Encapsulation) =>
    snapshot.pools.filter((pool) => pool.family === family && pool.encapsulation === encapsulation);
  const [vxlanPools, ipipPools] = [using("vxlan"), using("ipip")];
  const vxlan = vxlanPools.length > 0 ? vxlanOf(snapshot, own, uplink, family) : undefined;
  const ipip = ipipPools.length > 0 ? ipipOf(snapshot, own, uplink) : undefined;
  if (vxlanPools.length > 0 && vxlan === undefined) troubles.push(noTunnel("VXLAN", family, vxlanPools));
  if (ipipPools.length > 0 && ipip === undefined) troubles.push(noTunnel("IPIP", family, ipipPools));
  return { site: { family, uplink, address, peers, vxlan, ipip }, troubles };
}

/** A node that no pool selects may never have one. */
function noTunnel(encapsulation: string, family: Family, pools: readonly NetworkPool[]): Trouble {
  return {
    about: `own ${encapsulation} ${family}`,
    message: `cannot route by ${encapsulation} over IPv${family}: this node has no tunnel address yet; it gets one from a pool that is enabled, allows Tunnel in allowedUses, and selects this node`,
    isOwn: pools.some(({ nodeSelector, disabled }) => !disabled && !needsEvaluation(nodeSelector)),
  };
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
    isChecksumOffloadBroken: isChecksumOffloadBroken(settings),
  };
}

function ipipOf({ settings }: Snapshot, own: NetworkNode, uplink: LocalLink): Tunnel | undefined {
  const { ipipAddress } = own;
  if (ipipAddress === undefined) return undefined;
  return { device: ipipDevice, mtu: tunnelMtu(uplink.mtu, "ipip", settings), address: ipipAddress };
}

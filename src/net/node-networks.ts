/** The networks that a node is in, and how a range of pods' addresses collides with them. */
import { canonicalAddress, familyOf } from "./address.ts";
import { addressOf, contains, hostPrefix, lengthOf, maskPrefix, overlaps } from "./prefix.ts";

/** Of one family or of both. Loopback and link-local addresses, and what belongs to pods, are left out. */
export interface NodeNetworks {
  /** The node's own, each with the length of its network's prefix. */
  readonly addresses: readonly LinkAddress[];
  /** Of its default routes. */
  readonly gateways: readonly string[];
  /** Its DNS servers. */
  readonly resolvers: readonly string[];
}

export interface LinkAddress {
  readonly link: string;
  readonly address: string;
}

/** The range holds an address that packets of pods must reach, and that a pod could be given: the node's, its gateway's, its resolver's. */
export interface Collision {
  /** Whether pods are surely cut off from it; else the range lies in a network of the node, which works if nobody else there has the address. */
  readonly breaks: boolean;
  /** After "it": `holds the node's own address 192.168.1.10 ("eth0")`. */
  readonly text: string;
}

export function collisionsOf(cidr: string, networks: NodeNetworks): readonly Collision[] {
  const { addresses, gateways, resolvers } = networks;
  const own = addresses.filter(({ address }) => contains(cidr, addressOf(address)));
  const around = addresses.find(
    ({ address }) => lengthOf(address) < lengthOf(cidr) && contains(maskPrefix(address), cidr),
  );
  const held = (what: string, list: readonly string[]) =>
    list
      .filter((address) => contains(cidr, address))
      .map((address) => ({ breaks: true, text: `holds ${what} ${address}` }));
  const collisions = [
    ...own.map(({ address, link }) => ({
      breaks: true,
      text: `holds the node's own address ${addressOf(address)} ("${link}")`,
    })),
    ...held("the node's gateway", gateways),
    ...held("the node's resolver", resolvers),
  ];
  if (collisions.length > 0 || around === undefined) return collisions;
  return [{ breaks: false, text: `lies in the node's network ${maskPrefix(around.address)} ("${around.link}")` }];
}

/** A route wider than this is a default route in parts, as VPNs make them (0.0.0.0/1 and 128.0.0.0/1). */
const minRouteLength = 8;

/** Whether the range touches nothing that the node is in or has a route to; `routes`: the destinations of all its routes. */
export function isClear(cidr: string, networks: NodeNetworks, routes: readonly string[]): boolean {
  if (collisionsOf(cidr, networks).length > 0) return false;
  return routes.every((route) => lengthOf(route) < minRouteLength || !overlaps(route, cidr));
}

/** Links of pods, and Calico's tunnels, whose addresses come from the pools themselves. */
const podLinks = /^(cali.*|tunl0|vxlan\.calico|vxlan-v6\.calico|wireguard\.cali|wg-v6\.cali)$/;

/** Whether an address of a link tells of a network that pods' addresses must stay out of. */
export function isOfNode({ link, address }: LinkAddress): boolean {
  const unroutable = familyOf(address) === 4 ? ["127.0.0.0/8", "169.254.0.0/16"] : ["::1/128", "fe80::/10"];
  return !podLinks.test(link) && !unroutable.some((range) => contains(range, addressOf(address)));
}

/** Without the networks in which one of these addresses is the node's own: they are the pods' own, behind a bridge or a routed link. */
export function withoutPodGateways(networks: NodeNetworks, gateways: readonly string[]): NodeNetworks {
  if (gateways.length === 0) return networks;
  const pods = networks.addresses.filter(({ address }) => gateways.includes(addressOf(address)));
  const isPods = (cidr: string) => pods.some(({ address }) => contains(maskPrefix(address), cidr));
  return {
    addresses: networks.addresses.filter((one) => !pods.includes(one)),
    gateways: networks.gateways,
    resolvers: networks.resolvers.filter((address) => !isPods(hostPrefix(address))),
  };
}

/** The servers in the text of resolv.conf(5); one on the node's own loopback is reached by the node alone. */
export function resolversIn(text: string): readonly string[] {
  return text.split("\n").flatMap((line) => {
    const address = canonicalAddress(/^\s*nameserver\s+([^\s#;]+)/.exec(line)?.[1] ?? "");
    return address === undefined || !isOfNode({ link: "", address }) ? [] : [address];
  });
}

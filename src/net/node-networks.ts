/** The networks of a node, and how a range of pod addresses overlaps with them. */
import { canonicalAddress, familyOf } from "./address.ts";
import { addressOf, contains, hostPrefix, lengthOf, maskPrefix, overlaps } from "./prefix.ts";

/** Of one family or both, without loopback and link-local addresses and those of pods. */
export interface NodeNetworks {
  /** The node's own addresses, each with the prefix length of its network. */
  readonly addresses: readonly LinkAddress[];
  /** The gateways of its default routes. */
  readonly gateways: readonly string[];
  /** Its DNS servers. */
  readonly resolvers: readonly string[];
}

export interface LinkAddress {
  readonly link: string;
  readonly address: string;
}

/** The range contains an address that pods must be able to reach and that could be assigned to a pod: of the node, its gateway or its resolver. */
export interface Collision {
  /** Whether pods certainly cannot reach it. Otherwise the range lies in a network of the node, which works if no other host there has the address. */
  readonly breaks: boolean;
  /** Follows "it": `contains the node's own address 192.168.1.10 ("eth0")`. */
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
      .map((address) => ({ breaks: true, text: `contains ${what} ${address}` }));
  const collisions = [
    ...own.map(({ address, link }) => ({
      breaks: true,
      text: `contains the node's own address ${addressOf(address)} ("${link}")`,
    })),
    ...held("the node's gateway", gateways),
    ...held("the node's resolver", resolvers),
  ];
  if (collisions.length > 0 || around === undefined) return collisions;
  return [{ breaks: false, text: `lies in the node's network ${maskPrefix(around.address)} ("${around.link}")` }];
}

/** A wider route is part of a split default route, as VPNs add them (0.0.0.0/1 and 128.0.0.0/1). */
const minRouteLength = 8;

/** Whether the range overlaps with no network of the node and none of its routes; `routes` has the destinations of all routes. */
export function isClear(cidr: string, networks: NodeNetworks, routes: readonly string[]): boolean {
  if (collisionsOf(cidr, networks).length > 0) return false;
  return routes.every((route) => lengthOf(route) < minRouteLength || !overlaps(route, cidr));
}

/** Links of pods, and Calico's tunnels, which have addresses from pools. */
const podLinks = /^(cali.*|tunl0|vxlan\.calico|vxlan-v6\.calico|wireguard\.cali|wg-v6\.cali)$/;

/** Whether an address of a link belongs to a network that pools must not overlap with. */
export function isOfNode({ link, address }: LinkAddress): boolean {
  const unroutable = familyOf(address) === 4 ? ["127.0.0.0/8", "169.254.0.0/16"] : ["::1/128", "fe80::/10"];
  return !podLinks.test(link) && !unroutable.some((range) => contains(range, addressOf(address)));
}

/** Without the networks in which the node itself has one of these addresses: those networks are for pods, behind a bridge or a routed link. */
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

/** The servers in a resolv.conf(5), without those on the node's loopback, which only the node can reach. */
export function resolversIn(text: string): readonly string[] {
  return text.split("\n").flatMap((line) => {
    const address = canonicalAddress(/^\s*nameserver\s+([^\s#;]+)/.exec(line)?.[1] ?? "");
    return address === undefined || !isOfNode({ link: "", address }) ? [] : [address];
  });
}

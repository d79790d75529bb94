/** Reads the node's networks with `ip`, and warns of pools that overlap them. */
import { canonicalAddress } from "../../net/address.ts";
import { collisionsOf, isOfNode, type NodeNetworks, resolversIn } from "../../net/node-networks.ts";
import { canonicalPrefix } from "../../net/prefix.ts";
import type { Cli } from "../cli.ts";
import { nameOf, type Resource } from "../resources/resource.ts";
import { type IpAddresses, ipAddresses, ipRoutes } from "./iproute.ts";

export async function gatherNodeNetworks(cli: Cli): Promise<NodeNetworks> {
  const [addresses, routes4, routes6] = await Promise.all([
    cli.program(["ip", "-j", "address", "show"]),
    cli.program(["ip", "-j", "-4", "route", "show"]),
    cli.program(["ip", "-j", "-6", "route", "show"]),
  ]);
  const gateways = [...ipRoutes(routes4), ...ipRoutes(routes6)]
    .filter(({ dst }) => dst === "default")
    .flatMap(({ gateway = "" }) => canonicalAddress(gateway) ?? []);
  return {
    addresses: ipAddresses(addresses).flatMap(addressesOn),
    gateways: gateways.filter((address) => isOfNode({ link: "", address })),
    resolvers: resolversIn(readText(cli, "/etc/resolv.conf")),
  };
}

function addressesOn({ ifname: link, addr_info }: IpAddresses[number]): NodeNetworks["addresses"] {
  return addr_info
    .flatMap(({ local = "", prefixlen }) => canonicalPrefix(`${local}/${prefixlen}`) ?? [])
    .map((address) => ({ link, address }))
    .filter(isOfNode);
}

function readText({ sys }: Cli, path: string): string {
  try {
    return sys.readFile(path);
  } catch {
    return "";
  }
}

/**
 * For pools that are being written. Only a warning, because the pods of a main plugin other than `calico` may be in a network of the node; none if
 * `ip` fails.
 */
export async function collisionWarnings(cli: Cli, resources: readonly Resource[]): Promise<readonly string[]> {
  const pools = resources.filter(({ kind }) => kind === "IPPool");
  if (pools.length === 0) return [];
  try {
    const node = await gatherNodeNetworks(cli);
    return pools.flatMap((pool) => {
      const { cidr } = pool.spec as { readonly cidr: string };
      return collisionsOf(cidr, node).map(({ text }) => `${nameOf(pool)}: its cidr ${cidr} ${text}`);
    });
  } catch {
    return [];
  }
}

/**
 * Pools as subnets, for main plugins that want a gateway (`ptp`, `bridge`): a pool that contains a gateway of the configuration is the gateway's
 * subnet. Its addresses have the pool's prefix length, so that the gateway is on-link whichever block they are from, and its gateways, its network
 * and its broadcast address (RFC 1812, 4.2.2.11) are not assigned.
 */
import { familyOf } from "../../src/net/address.ts";
import { addressAt, addressCount, addressOf, contains, lengthOf } from "../../src/net/prefix.ts";

export interface CidrPool {
  readonly cidr: string;
}

export interface Placement {
  readonly prefixLength: number;
  readonly gateway: string;
}

/** `undefined` if no gateway has the address's family. `block`: the prefix of an address whose pool contains no gateway. */
export function placementOf(
  address: string,
  block: string,
  pools: readonly CidrPool[],
  gateways: readonly string[],
): Placement | undefined {
  const ofFamily = gateways.filter((gateway) => familyOf(gateway) === familyOf(address));
  const pool = pools.find(({ cidr }) => contains(cidr, address))?.cidr;
  const near = ofFamily.find((gateway) => pool !== undefined && contains(pool, gateway));
  if (near !== undefined && pool !== undefined) return { prefixLength: lengthOf(pool), gateway: near };
  const [gateway] = ofFamily;
  return gateway === undefined ? undefined : { prefixLength: lengthOf(block), gateway };
}

/** Addresses that no container gets: the gateways, and of each subnet with two more addresses the first and, for IPv4, the last. */
export function reservedAddresses(pools: readonly CidrPool[], gateways: readonly string[]): readonly string[] {
  const subnets = pools.map(({ cidr }) => cidr).filter((cidr) => gateways.some((gateway) => contains(cidr, gateway)));
  const edges = subnets.flatMap((cidr) => {
    const count = addressCount(cidr);
    if (count <= 2n) return [];
    const first = addressOf(cidr);
    return familyOf(first) === 4 ? [first, addressAt(cidr, count - 1n)] : [first];
  });
  return [...new Set([...gateways, ...edges])];
}

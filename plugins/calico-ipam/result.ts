/** ADD's result of the addresses that were assigned. */
import type { Result } from "../../src/cni/result.ts";
import type { Assigned } from "../../src/ipam/model/handle-contents.ts";
import { familyOf } from "../../src/net/address.ts";
import { hostPrefix, lengthOf } from "../../src/net/prefix.ts";
import type { IpamConf } from "./conf.ts";
import { type CidrPool, placementOf } from "./subnets.ts";

/**
 * As Calico: with the block's prefix length, for addresses asked for by name with their own. But a gateway is of use in a subnet only.
 * `pools` may be empty where the configuration names no gateway. Routes of a family without an address lead nowhere, and are left out.
 */
export function resultOf(
  assigned: readonly Pick<Assigned, "address" | "block">[],
  byName: boolean,
  { gateways, routes }: IpamConf,
  pools: readonly CidrPool[],
): Result {
  const ips = assigned.map(({ address, block }) => {
    const placement = placementOf(address, block, pools, gateways);
    if (placement !== undefined) {
      return { address: `${address}/${placement.prefixLength}`, gateway: placement.gateway };
    }
    return { address: byName ? hostPrefix(address) : `${address}/${lengthOf(block)}` };
  });
  const families = new Set(assigned.map(({ address }) => familyOf(address)));
  const reachable = routes.filter(({ dst }) => families.has(familyOf(dst)));
  return { ips, ...(reachable.length === 0 ? {} : { routes: reachable }) };
}

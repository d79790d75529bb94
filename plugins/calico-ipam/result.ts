/** ADD's result for the assigned addresses. */
import type { Result } from "../../src/cni/result.ts";
import type { Assigned } from "../../src/ipam/model/handle-contents.ts";
import { familyOf } from "../../src/net/address.ts";
import { hostPrefix, lengthOf } from "../../src/net/prefix.ts";
import type { IpamConf } from "./conf.ts";
import { type CidrPool, placementOf } from "./subnets.ts";

/**
 * As Calico: with the block's prefix length; requested addresses with a full-length prefix. But a gateway is only useful within a subnet.
 * `pools` may be empty if the configuration names no gateway. Omits routes of a family without an address, which would lead nowhere.
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

/**
 * The way out: traffic from pools with `natOutgoing` to what is in no pool leaves with the node's own address; and the guard that goes with
 * the host interfaces' `route_localnet`.
 */
import type { Sys } from "../../src/host/sys.ts";
import { takePools } from "../../src/ipam/known-pools.ts";
import { listPools } from "../../src/ipam/pool.ts";
import { familyOf } from "../../src/net/address.ts";
import { natOutgoing } from "../../src/plan/nat-outgoing.ts";
import type { Resource } from "../../src/plan/resource.ts";
import { fileStore } from "../../src/store/file.ts";
import { drive } from "../../src/store/transaction.ts";

/** The shared tables with all pools of the families that the addresses belong to. */
export function planNat(sys: Sys, addresses: readonly string[]): readonly Resource[] {
  const families = new Set(addresses.map(familyOf));
  const { pools } = takePools(sys) ?? drive(listPools(), fileStore(sys, { onDamaged: refuse }));
  // A disabled pool gives no new addresses, but those that it gave still need their way out.
  return natOutgoing(
    pools.filter(({ family }) => families.has(family)).map(({ cidr, natOutgoing: nat }) => ({ cidr, nat })),
    { guarded: families.has(4) },
  );
}

/** A pool that cannot be read may be the one these addresses are from: without its way out they would be attached and cut off. */
function refuse(error: Error): never {
  throw error;
}

/**
 * The way out: traffic from pools with `natOutgoing` to what is in no pool leaves with the node's own address; and the guard that goes with
 * the host interfaces' `route_localnet`.
 */
import type { Sys } from "../../src/host/sys.ts";
import { listPools, type Pool } from "../../src/ipam/model/pool.ts";
import { familyOf } from "../../src/net/address.ts";
import type { Resource } from "../../src/plan/resource.ts";
import { openDatastore } from "../../src/store/open.ts";
import { drive } from "../../src/store/transaction.ts";
import { natOutgoing } from "./nat-outgoing.ts";

/** All pools, also those that give no new addresses: what they gave still needs its way out. Throws `CniError` 103 where one cannot be read. */
export function readPools(sys: Sys): readonly Pool[] {
  return drive(listPools(), openDatastore("file", sys, { onDamaged: refuse }).store).pools;
}

/** The shared tables with the pools of the families that the addresses belong to. */
export function planNat(
  pools: readonly Pick<Pool, "cidr" | "family" | "natOutgoing">[],
  addresses: readonly string[],
): readonly Resource[] {
  const families = new Set(addresses.map(familyOf));
  return natOutgoing(
    pools.filter(({ family }) => families.has(family)).map(({ cidr, natOutgoing: nat }) => ({ cidr, nat })),
    { guarded: families.has(4) },
  );
}

/** A pool that cannot be read may be the one these addresses are from: without its way out they would be attached and cut off. */
function refuse(error: Error): never {
  throw error;
}

/**
 * Traffic from pools with `natOutgoing` to addresses outside of all pools leaves with the node's own address; and the guard that the host
 * interfaces' `route_localnet` requires.
 */
import type { Sys } from "../../src/host/sys.ts";
import { listPools, type Pool } from "../../src/ipam/model/pool.ts";
import { familyOf } from "../../src/net/address.ts";
import type { OutgoingMessage } from "../../src/node-protocol/messages.ts";
import { natOutgoing } from "../../src/plan/nat-outgoing.ts";
import type { Resource } from "../../src/plan/resource.ts";
import { openDatastore } from "../../src/store/open.ts";
import { drive } from "../../src/store/transaction.ts";

/** All pools, including disabled ones: their assigned addresses still need masquerading. Throws `CniError` 103 if one is unreadable. */
export function readPools(sys: Sys): readonly Pool[] {
  return drive(listPools(), openDatastore("file", sys, { onDamaged: refuse }).store).pools;
}

/** The shared tables with the pools of the families that the addresses belong to. */
export function planNat(
  pools: readonly Pick<Pool, "cidr" | "family" | "natOutgoing">[],
  addresses: readonly string[],
  outgoing?: OutgoingMessage,
): readonly Resource[] {
  const families = new Set(addresses.map(familyOf));
  return natOutgoing(
    pools.filter(({ family }) => families.has(family)).map(({ cidr, natOutgoing: nat }) => ({ cidr, nat })),
    { guarded: families.has(4), outgoing },
  );
}

/** An unreadable pool may be the one that contains these addresses: without masquerading they would be cut off. */
function refuse(error: Error): never {
  throw error;
}

/** The first pools of a cluster: one for each family that has none, as Calico's node creates them at start. */
import { clearCidr, type PoolContext } from "../../ipam/assign/default-pools.ts";
import type { PoolSpec } from "../../ipam/model/pool.ts";
import { familyOf } from "../../net/address.ts";
import type { Kind, StoredObject } from "../../store/object.ts";
import { create, list, type Transaction } from "../../store/transaction.ts";
import type { DefaultPool } from "../settings/read.ts";

/** Returns the created pools; another node may have been faster. Throws `InvalidRequest` if every default overlaps the node's networks. */
export function* makeDefaultPools(
  wanted: readonly DefaultPool[],
  around: Pick<PoolContext, "random" | "networks" | "routes">,
): Transaction<readonly StoredObject[]> {
  const there = yield* list("IPPool");
  const made: StoredObject[] = [];
  for (const { family, cidr, spec } of wanted) {
    if (there.some((pool) => isOfFamily(pool.spec as Partial<PoolSpec>, family))) continue;
    const pool = yield* create({
      apiVersion: "projectcalico.org/v3",
      kind: "IPPool" satisfies Kind,
      metadata: { name: `default-ipv${family}-ippool` },
      spec: { cidr: cidr ?? clearCidr(family, around), ...spec },
    });
    if (pool !== undefined) made.push(pool);
  }
  return made;
}

/** An invalid pool counts too: an operator created it. */
function isOfFamily({ cidr }: Partial<PoolSpec>, family: number): boolean {
  return typeof cidr === "string" && familyOf(cidr) === family;
}

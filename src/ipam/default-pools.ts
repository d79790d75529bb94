/**
 * The pools that a node begins with: what the configuration names by CIDR, else those of Calico's start-up.
 *
 * **Made once per family, when it has no pool at all**: whoever deletes or changes them later is not overruled while one is left.
 */
import type { Family } from "../net/address.ts";
import { formatAddress } from "../net/address.ts";
import { canonicalPrefix, lengthOf, maskPrefix } from "../net/prefix.ts";
import type { StoredObject } from "../store/object.ts";
import { create, list, type Transaction } from "../store/transaction.ts";
import { blockName } from "./object-name.ts";
import { decodePool, listPools, type PoolList, type PoolSpec } from "./pool.ts";
import type { Wanted } from "./pool-selection.ts";

/** All pools, with what was made. `random`: 5 random bytes, asked for when an IPv6 pool is made. */
export function* ensureDefaultPools(wanted: readonly Wanted[], random: () => Uint8Array): Transaction<PoolList> {
  const all = yield* listPools();
  let made = false;
  for (const { family, pools: names } of wanted) {
    if (all.pools.some((pool) => pool.family === family)) continue;
    // A pool that is there and makes no sense is somebody's: it is not replaced by another.
    if ((yield* list("IPPool")).some(({ spec }) => isOfFamily(spec as Partial<PoolSpec>, family))) continue;
    for (const pool of defaultPools(family, names, random)) {
      decodePool(pool);
      yield* create(pool);
      made = true;
    }
  }
  return made ? yield* listPools() : all;
}

function isOfFamily({ cidr }: Partial<PoolSpec>, family: Family): boolean {
  return typeof cidr === "string" && cidr.includes(":") === (family === 6);
}

function defaultPools(family: Family, names: readonly string[], random: () => Uint8Array): readonly StoredObject[] {
  const cidrs = names.flatMap((name) => canonicalPrefix(name) ?? []).map(maskPrefix);
  if (cidrs.length === 0) return names.length > 0 ? [] : [newPool(defaultName(family), defaultCidr(family, random))];
  return cidrs.map((cidr, index) => newPool(index === 0 ? defaultName(family) : `ippool-${blockName(cidr)}`, cidr));
}

function defaultName(family: Family): string {
  return `default-ipv${family}-ippool`;
}

/** Calico's: 192.168.0.0/16, and for IPv6 a /48 of unique local addresses with a random global ID (RFC 4193 section 3). */
function defaultCidr(family: Family, random: () => Uint8Array): string {
  if (family === 4) return "192.168.0.0/16";
  const bytes = new Uint8Array(16);
  bytes[0] = 0xfd;
  bytes.set(random().subarray(0, 5), 1);
  return `${formatAddress(bytes)}/48`;
}

function newPool(name: string, cidr: string): StoredObject<PoolSpec> {
  return {
    apiVersion: "projectcalico.org/v3",
    kind: "IPPool",
    metadata: { name },
    spec: {
      cidr,
      // A pool is one block at least.
      blockSize: Math.max(cidr.includes(":") ? 122 : 26, lengthOf(cidr)),
      allowedUses: ["Workload", "Tunnel"],
      ipipMode: "Never",
      vxlanMode: "Never",
      // Nobody outside knows a way back to these addresses, unique local ones included, while no agent announces them.
      natOutgoing: true,
      nodeSelector: "all()",
    },
  };
}

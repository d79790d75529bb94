/**
 * Masquerades traffic that leaves the node: one shared table per family with two sets, their digest and one rule, whatever the number of pods.
 *
 *     pod ──> postrouting: from a pool with natOutgoing, to no pool at all ──masquerade──> outside
 *     any interface but lo ──> guard: to 127.0.0.0/8 ──drop
 *
 * The digest is that of the pools when the sets were last written. A map rejects a second datum for a key, so an ADD learns without a look-up that
 * the pools have changed, and then rewrites the sets.
 */
import { type TableFamily, tableFamilies, tableFamilyOf } from "../../src/net/address.ts";
import { loopbackGuard } from "../../src/plan/loopback-guard.ts";
import type { NftElement, NftElements, NftResource, NftTable } from "../../src/plan/nft.ts";
import { natTable } from "./names.ts";

const allPools = "all_pools";
const natPools = "nat_pools";
/** The digest of the pools in the sets, which shows whether the sets are up to date. */
export const poolsDigest = "pools_digest";
const srcnatPriority = 100;

/**
 * The tables, and the pools in their sets; nothing for a family without pools. With `guarded`, IPv4 has its table even without pools, for the
 * guard: a foreign IPAM plugin has no pools here.
 */
export function natOutgoing(
  pools: readonly { readonly cidr: string; readonly nat: boolean }[],
  { guarded = false } = {},
): readonly NftResource[] {
  return tableFamilies.flatMap((family) => {
    const own = pools.filter(({ cidr }) => tableFamilyOf(cidr) === family);
    if (own.length === 0 && !(guarded && family === "ip")) return [];
    const all = own.map(({ cidr }) => ({ key: [cidr] }));
    const outgoing = own.filter(({ nat }) => nat).map(({ cidr }) => ({ key: [cidr] }));
    return [
      tables[family],
      shared(family, allPools, all),
      shared(family, natPools, outgoing),
      { ...shared(family, poolsDigest, [{ key: ["1"], data: [`${digestOf(own)}`] }]), digest: true },
    ];
  });
}

function shared(family: TableFamily, set: string, elements: readonly NftElement[]): NftElements {
  return { kind: "nft-elements", family, table: natTable, set, elements, shared: true };
}

/** 32 bits of FNV-1a: a change goes unnoticed with a probability of 2⁻³². */
function digestOf(pools: readonly { readonly cidr: string; readonly nat: boolean }[]): number {
  let digest = 0x811c9dc5;
  for (const { cidr, nat } of pools) {
    const text = nat ? `${cidr} nat` : cidr;
    for (let index = 0; index < text.length; index++) {
      digest = Math.imul(digest ^ text.charCodeAt(index), 0x01000193);
    }
    digest = Math.imul(digest, 0x01000193);
  }
  return digest >>> 0;
}

function tableOf(family: TableFamily): NftTable {
  const key = [family === "ip" ? ("ipv4_addr" as const) : ("ipv6_addr" as const)];
  return {
    kind: "nft-table",
    family,
    name: natTable,
    sets: [
      { name: allPools, key, interval: true, comment: "where pods are" },
      { name: natPools, key, interval: true, comment: "pools with natOutgoing" },
      { name: poolsDigest, key: ["mark"], data: ["mark"], comment: "of the pools in these sets" },
    ],
    chains: [
      {
        name: "postrouting",
        hook: { type: "nat", hook: "postrouting", priority: srcnatPriority },
        rules: [
          {
            statements: [
              { lookup: [`${family} saddr`], op: "==", set: natPools },
              { lookup: [`${family} daddr`], op: "!=", set: allPools },
              { masquerade: true },
            ],
            comment: "pods leave by the address of the node",
          },
        ],
      },
      ...(family === "ip" ? [loopbackGuard] : []),
    ],
  };
}

const tables = { ip: tableOf("ip"), ip6: tableOf("ip6") } as const;

/** Both tables, without pools. */
export const natTables: readonly NftTable[] = [tables.ip, tables.ip6];

/**
 * Pods leave the node by its own address: one shared table per family, two sets, one rule, whatever the number of pods.
 *
 *     pod ──> postrouting: from a pool with natOutgoing, to no pool at all ──masquerade──> outside
 *     any interface but lo ──> guard: to 127.0.0.0/8 ──drop
 *
 * The guard belongs to `route_localnet`, which lets the host reach a pod's port by 127.0.0.1: with it the kernel would also take packets
 * for the host's own loopback address from outside.
 */
import { familyOf } from "../net/address.ts";
import { natTable } from "./names.ts";
import type { NftChain, NftElements, NftFamily, NftResource, NftTable } from "./nft.ts";

const allPools = "all_pools";
const natPools = "nat_pools";
/** Before connection tracking (-200), which would give a reply's address back to 127.0.0.1. */
const rawPriority = -300;
const srcnatPriority = 100;

/** The tables, and the pools in their sets; nothing for a family without pools. */
export function natOutgoing(
  pools: readonly { readonly cidr: string; readonly nat: boolean }[],
): readonly NftResource[] {
  return (["ip", "ip6"] as const).flatMap((family) => {
    const own = pools.filter(({ cidr }) => familyOf(cidr) === (family === "ip" ? 4 : 6));
    if (own.length === 0) return [];
    const elements = (set: string, some: typeof own): NftElements => ({
      kind: "nft-elements",
      family,
      table: natTable,
      set,
      elements: some.map(({ cidr }) => ({ key: [cidr] })),
      shared: true,
    });
    return [
      tableOf(family),
      elements(allPools, own),
      elements(
        natPools,
        own.filter(({ nat }) => nat),
      ),
    ];
  });
}

function tableOf(family: NftFamily): NftTable {
  const key = [family === "ip" ? ("ipv4_addr" as const) : ("ipv6_addr" as const)];
  return {
    kind: "nft-table",
    family,
    name: natTable,
    sets: [
      { name: allPools, key, interval: true, comment: "where pods are" },
      { name: natPools, key, interval: true, comment: "pools with natOutgoing" },
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

/** Drops what comes to the host's loopback network from elsewhere. */
export const loopbackGuard: NftChain = {
  name: "guard",
  hook: { type: "filter", hook: "prerouting", priority: rawPriority },
  rules: [
    {
      statements: [
        { match: "iifname", op: "!=", value: "lo" },
        { match: "ip daddr", op: "==", value: "127.0.0.0/8" },
        { verdict: "drop" },
      ],
      comment: "127.0.0.0/8 is for the host alone",
    },
  ],
};

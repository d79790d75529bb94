/**
 * Containers leave the node with the node's address, except to their own subnet and to multicast groups: one shared table per family, with an
 * element per address and a chain per subnet, which is removed with the last address that jumps to it.
 *
 *     container ──> postrouting: ip saddr vmap @sources ──jump──> to_10.22.0.0/16: return for the subnet, return for groups, masquerade
 */
import { type TableFamily, tableFamilyOf } from "../../src/net/address.ts";
import { addressOf, maskPrefix } from "../../src/net/prefix.ts";
import type { NftResource, NftRule, NftTable } from "../../src/plan/nft.ts";
import { ptpTable } from "./names.ts";

const sources = "sources";
const srcnatPriority = 100;
const groups = { ip: "224.0.0.0/4", ip6: "ff00::/8" } as const;

/** For addresses with their subnets' prefix lengths. */
export function planMasquerade(addresses: readonly string[]): readonly NftResource[] {
  return addresses.flatMap((address): readonly NftResource[] => {
    const family = tableFamilyOf(address);
    const subnet = maskPrefix(address);
    const chain = chainName(subnet);
    const base = tableOf(family);
    const rules = [
      keep(family, subnet, "the container's own subnet"),
      keep(family, groups[family], "groups"),
      { statements: [{ masquerade: true }], comment: "containers leave by the address of the node" } as const,
    ];
    return [
      { ...base, chains: [...base.chains, { name: chain, rules }] },
      {
        kind: "nft-elements",
        family,
        table: ptpTable,
        set: sources,
        elements: [{ key: [addressOf(address)], data: [`jump ${chain}`] }],
      },
    ];
  });
}

/** nft(8) allows no colon in a name, and an address contains no underscore. */
function chainName(subnet: string): string {
  return `to_${subnet.replaceAll(":", "_")}`;
}

function keep(family: TableFamily, value: string, comment: string): NftRule {
  return { statements: [{ match: `${family} daddr`, op: "==", value }, { verdict: "return" }], comment };
}

function tableOf(family: TableFamily): NftTable {
  return {
    kind: "nft-table",
    family,
    name: ptpTable,
    sets: [
      {
        name: sources,
        key: [family === "ip" ? "ipv4_addr" : "ipv6_addr"],
        data: ["verdict"],
        comment: "containers that masquerade",
      },
    ],
    chains: [
      {
        name: "postrouting",
        hook: { type: "nat", hook: "postrouting", priority: srcnatPriority },
        rules: [{ statements: [{ verdictMap: [`${family} saddr`], map: sources }], comment: "by where it comes from" }],
      },
    ],
  };
}

/** Both tables, without subnets. */
export const masqueradeTables: readonly NftTable[] = [tableOf("ip"), tableOf("ip6")];

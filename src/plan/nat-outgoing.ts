/**
 * Masquerades traffic that leaves the node: one shared table per family with two sets, their digest and one rule, whatever the number of pods.
 *
 *     pod ──> postrouting: from a pool with natOutgoing, to no pool at all ──masquerade──> outside
 *     any interface but lo ──> guard: to 127.0.0.0/8 ──drop
 *
 * `calico` and the node agent keep it, and `doctor` compares it. A cluster may ask for more (`OutgoingMessage`): then the rule has more conditions and
 * another target, or is one rule for each protocol.
 *
 * The digest is that of the pools, and of what is excluded, when the sets were last written. A map rejects a second datum for a key, so an ADD learns without a look-up that
 * the pools have changed, and then rewrites the sets.
 */
import { natTable } from "../identity/names.ts";
import { type TableFamily, tableFamilies, tableFamilyOf } from "../net/address.ts";
import type { OutgoingMessage } from "../node-protocol/messages.ts";
import { loopbackGuard } from "./loopback-guard.ts";
import type { NftElement, NftElements, NftResource, NftRule, NftStatement, NftTable } from "./nft.ts";

const allPools = "all_pools";
const natPools = "nat_pools";
const excluded = "excluded";
/** The pools whose packets are translated, and the destinations for which they are not. */
export const natSets = { translated: natPools, kept: allPools, excluded } as const;
/** The digest of the pools in the sets, which shows whether the sets are up to date. */
export const poolsDigest = "pools_digest";
const srcnatPriority = 100;

export interface NatOptions {
  /** IPv4 has its table even without pools, for the guard: a foreign IPAM plugin has no pools here. */
  readonly guarded?: boolean;
  /** What the cluster asks for. */
  readonly outgoing?: OutgoingMessage | undefined;
}

/** The tables, and the pools in their sets; nothing for a family without pools. */
export function natOutgoing(
  pools: readonly { readonly cidr: string; readonly nat: boolean }[],
  { guarded = false, outgoing }: NatOptions = {},
): readonly NftResource[] {
  return tableFamilies.flatMap((family) => {
    const own = pools.filter(({ cidr }) => tableFamilyOf(cidr) === family);
    if (own.length === 0 && !(guarded && family === "ip")) return [];
    const all = own.map(({ cidr }) => ({ key: [cidr] }));
    const translated = own.filter(({ nat }) => nat).map(({ cidr }) => ({ key: [cidr] }));
    const exclusions = outgoing?.exclusions?.filter((address) => tableFamilyOf(address) === family);
    const excludedKeys = exclusions?.map((address) => ({ key: [address] }));
    return [
      outgoing === undefined ? tables[family] : tableOf(family, outgoing),
      shared(family, allPools, all),
      shared(family, natPools, translated),
      ...(excludedKeys === undefined ? [] : [{ ...shared(family, excluded, excludedKeys), onlyIfOutdated: true }]),
      { ...shared(family, poolsDigest, [{ key: ["1"], data: [`${digestOf(own, exclusions)}`] }]), digest: true },
    ];
  });
}

function shared(family: TableFamily, set: string, elements: readonly NftElement[]): NftElements {
  return { kind: "nft-elements", family, table: natTable, set, elements, shared: true };
}

/** 32 bits of FNV-1a: a change goes unnoticed with a probability of 2⁻³². */
function digestOf(
  pools: readonly { readonly cidr: string; readonly nat: boolean }[],
  exclusions: readonly string[] = [],
): number {
  let digest = 0x811c9dc5;
  for (const text of [...pools.map(({ cidr, nat }) => (nat ? `${cidr} nat` : cidr)), ...exclusions]) {
    for (let index = 0; index < text.length; index++) {
      digest = Math.imul(digest ^ text.charCodeAt(index), 0x01000193);
    }
    digest = Math.imul(digest, 0x01000193);
  }
  return digest >>> 0;
}

function tableOf(family: TableFamily, outgoing: OutgoingMessage = {}): NftTable {
  const key = [family === "ip" ? ("ipv4_addr" as const) : ("ipv6_addr" as const)];
  return {
    kind: "nft-table",
    family,
    name: natTable,
    sets: [
      { name: allPools, key, interval: true, comment: "where pods are" },
      { name: natPools, key, interval: true, comment: "pools with natOutgoing" },
      ...(outgoing.exclusions ? [{ name: excluded, key, comment: "where pods keep their addresses" }] : []),
      { name: poolsDigest, key: ["mark"], data: ["mark"], comment: "of the pools in these sets" },
    ],
    chains: [
      {
        name: "postrouting",
        hook: { type: "nat", hook: "postrouting", priority: srcnatPriority },
        rules: rulesOf(family, outgoing),
      },
      ...(family === "ip" ? [loopbackGuard] : []),
    ],
  };
}

/** A range of ports applies to TCP and UDP alone, as in Calico; an address of the other family to nothing. */
function rulesOf(
  family: TableFamily,
  { exclusions, interface: name, address, ports }: OutgoingMessage,
): readonly NftRule[] {
  const conditions: readonly NftStatement[] = [
    { lookup: [`${family} saddr`], op: "==", set: natPools },
    { lookup: [`${family} daddr`], op: "!=", set: allPools },
    ...(exclusions ? [{ lookup: [`${family} daddr` as const], op: "!=" as const, set: excluded }] : []),
    ...(name === undefined ? [] : [{ match: "oifname" as const, op: "==" as const, value: name }]),
  ];
  const isOfFamily = address !== undefined && tableFamilyOf(address) === family;
  const target = (range: object): NftStatement =>
    isOfFamily ? { snat: address, ...range } : { masquerade: true, ...range };
  const comment = isOfFamily ? `pods leave by ${address}` : "pods leave by the address of the node";
  const last = { statements: [...conditions, target({})], comment };
  if (ports === undefined) return [last];
  const ofProtocol = (protocol: string): NftRule => ({
    statements: [{ match: "meta l4proto", op: "==", value: protocol }, ...conditions, target({ ports })],
    comment: `${comment}, ${protocol} by ports ${ports}`,
  });
  return [ofProtocol("tcp"), ofProtocol("udp"), last];
}

const tables = { ip: tableOf("ip"), ip6: tableOf("ip6") } as const;

/** Both tables, without pools. */
export const natTables: readonly NftTable[] = [tables.ip, tables.ip6];

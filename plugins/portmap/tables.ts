/**
 * The tables of the nftables back end: one per family, shared by all attachments. An attachment adds only elements.
 *
 *     table ip tortie_portmap {
 *       map  hostip_ports        { ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service }   hostIP given
 *       map  ports               { inet_proto . inet_service : ipv4_addr . inet_service }               any address of the host
 *       map  hostip_conditions, conditions   the same keys : jump conditions_<digest>
 *       map  waiting_<each of the four>      its key . ipv4_addr : the same     ports that a container's other attachment still has
 *       set  hairpin, localhost, masq_all   whose source is masqueraded
 *       chain prerouting, output             fib daddr type local jump hostports
 *       chain hostports                      conditions, then dnat; a given hostIP before any address
 *       chain conditions_<digest>            <conditions> return; accept     (only while an attachment has conditions)
 *       chain masquerading
 *       chain guard
 *     }
 *
 * **A key in a map has one owner**: the kernel answers EEXIST to the second.
 */
import type { TableFamily } from "../../src/net/address.ts";
import { sha1 } from "../../src/net/digest.ts";
import { loopbackGuard } from "../../src/plan/loopback-guard.ts";
import type {
  NftChain,
  NftElements,
  NftField,
  NftRule,
  NftSetDefinition,
  NftStatement,
  NftTable,
  NftType,
} from "../../src/plan/nft.ts";
import { portmapTable } from "./names.ts";

/**
 * After everything that translates at -100 (iptables' nat table, kube-proxy's nftables): once a chain has translated a connection, later
 * chains do not see it, and among chains of equal priority the kernel runs the last registered first. So services win regardless of the order
 * of registration. Before firewalld, at -90.
 */
const dstnatPriority = -95;
const srcnatPriority = 100;

/** The name prefix of a map of waiting elements; the name of the map that they wait for follows. */
export const waitingPrefix = "waiting_";

/** The tables of both families. */
export const tables: readonly NftTable[] = [tableOf("ip"), tableOf("ip6")];

/** Their names. */
export const tableNames = tables.map(({ family, name: table }) => ({ family, table }));

/** The kernel modules that the IPv4 table needs. */
export const tableModules = ["nft_chain_nat", "nft_ct", "nft_fib_ipv4", "nft_masq", "nft_nat"] as const;

/** A mapping to an IPv6 address: 20 bytes of data, which kernels before 5.8 refuse. */
export const maxTargetLength: NftElements = {
  kind: "nft-elements",
  family: "ip6",
  table: portmapTable,
  set: "ports",
  elements: [{ key: ["tcp", "1"], data: ["::1", "1"] }],
};

export function tableOf(family: TableFamily): NftTable {
  const address: NftType = family === "ip" ? "ipv4_addr" : "ipv6_addr";
  const port: readonly NftType[] = ["inet_proto", "inet_service"];
  const target: readonly NftType[] = [address, "inet_service"];
  return {
    kind: "nft-table",
    family,
    name: portmapTable,
    sets: [
      { name: "ports", key: port, data: target },
      { name: "hostip_ports", key: [address, ...port], data: target },
      { name: "conditions", key: port, data: ["verdict"] },
      { name: "hostip_conditions", key: [address, ...port], data: ["verdict"] },
      ...waitingSets(address, port, target),
      { name: "hairpin", key: [address, address] },
      ...(family === "ip" ? [{ name: "localhost", key: [address] }] : []),
      { name: "masq_all", key: [address] },
    ],
    chains: chainsOf(family),
  };
}

function waitingSets(
  address: NftType,
  port: readonly NftType[],
  target: readonly NftType[],
): readonly NftSetDefinition[] {
  return (["", "hostip_"] as const).flatMap((kind) => {
    const key = [...(kind === "" ? [] : [address]), ...port, address];
    const ports = `${waitingPrefix}${kind}ports`;
    return [
      { name: ports, key, data: target, waitsFor: { map: `${kind}ports` } },
      {
        name: `${waitingPrefix}${kind}conditions`,
        key,
        data: ["verdict"],
        waitsFor: { map: `${kind}conditions`, behind: ports },
      },
    ] as const;
  });
}

/** A chain that returns if the conditions are met and accepts (so that no mapping applies) otherwise. Equal conditions share one. */
export function conditionsChain(statements: readonly NftStatement[]): NftChain {
  return {
    name: `conditions_${sha1(JSON.stringify(statements)).slice(0, 12)}`,
    rules: [
      { statements: [...statements, { verdict: "return" }], comment: "conditions met" },
      { statements: [{ verdict: "accept" }], comment: "conditions not met" },
    ],
  };
}

function chainsOf(family: TableFamily): readonly NftChain[] {
  const port: readonly NftField[] = ["meta l4proto", "th dport"];
  const hostPort: readonly NftField[] = [`${family} daddr`, ...port];
  return [
    {
      name: "hostports",
      rules: [
        { statements: [{ verdictMap: hostPort, map: "hostip_conditions" }], comment: "conditions of one address" },
        { statements: [{ dnatMap: hostPort, map: "hostip_ports" }], comment: "ports of one address" },
        { statements: [{ verdictMap: port, map: "conditions" }], comment: "conditions of any address" },
        { statements: [{ dnatMap: port, map: "ports" }], comment: "ports of any address" },
      ],
    },
    entry(family, "prerouting"),
    entry(family, "output"),
    {
      name: "masquerading",
      hook: { type: "nat", hook: "postrouting", priority: srcnatPriority },
      rules: masquerading(family),
    },
    ...(family === "ip" ? [loopbackGuard] : []),
  ];
}

/** Excludes ::1: the kernel does not forward packets to it, because IPv6 has no `route_localnet`. */
function entry(family: TableFamily, hook: "prerouting" | "output"): NftChain {
  const isForwarded: readonly NftStatement[] = family === "ip" ? [] : [{ match: "ip6 daddr", op: "!=", value: "::1" }];
  return {
    name: hook,
    hook: { type: "nat", hook, priority: dstnatPriority },
    rules: [
      {
        statements: [...isForwarded, { match: "fib daddr type", op: "==", value: "local" }, { jump: "hostports" }],
        comment: "to an address of the host",
      },
    ],
  };
}

function masquerading(family: TableFamily): readonly NftRule[] {
  const mapped: NftStatement = { match: "ct status", op: "==", value: "dnat" };
  const rule = (comment: string, ...matches: readonly NftStatement[]): NftRule => ({
    statements: [mapped, ...matches, { masquerade: true }],
    comment,
  });
  return [
    rule("a container to itself", { lookup: [`${family} saddr`, `${family} daddr`], op: "==", set: "hairpin" }),
    ...(family === "ip"
      ? [
          rule(
            "the host by its loopback address",
            { match: "ip saddr", op: "==", value: "127.0.0.0/8" },
            { lookup: ["ip daddr"], op: "==", set: "localhost" },
          ),
        ]
      : []),
    rule("every client", { lookup: [`${family} daddr`], op: "==", set: "masq_all" }),
  ];
}

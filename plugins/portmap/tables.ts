/**
 * The tables of the nftables back end: one per family, the same for all attachments. What an attachment adds is elements only.
 *
 *     table ip tortie_portmap {
 *       map  hostip_ports        { ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service }   hostIP given
 *       map  ports               { inet_proto . inet_service : ipv4_addr . inet_service }               any address of the host
 *       map  hostip_conditions, conditions   the same keys : jump conditions_<digest>
 *       map  waiting_<each of the four>      its key . ipv4_addr : the same     what a container's further networks want, until the first lets it go
 *       set  hairpin, localhost, masq_all    whose sources are hidden behind the node
 *       chain prerouting, output             fib daddr type local jump hostports
 *       chain hostports                      conditions, then dnat; a given hostIP before any address
 *       chain conditions_<digest>            <conditions> return; accept     (only while an attachment has conditions)
 *       chain masquerading
 *       chain guard
 *     }
 *
 * **The maps are the claims**: one key has one owner, and the kernel says EEXIST to the second.
 */
import { sha1 } from "../../src/net/digest.ts";
import { loopbackGuard } from "../../src/plan/loopback-guard.ts";
import type {
  NftChain,
  NftElements,
  NftFamily,
  NftField,
  NftRule,
  NftSetDefinition,
  NftStatement,
  NftTable,
  NftType,
} from "../../src/plan/nft.ts";
import { portmapTable } from "./names.ts";

/**
 * Behind iptables' table nat, kube-proxy's nftables and whatever else translates at -100: of the chains of one priority the kernel runs the
 * one registered last first, and a connection that one chain has translated no other sees. So services win, whoever came first. In front of
 * firewalld's, at -90.
 */
const dstnatPriority = -95;
const srcnatPriority = 100;

/** Maps whose elements wait are named after those for whose keys they wait. */
export const waitingPrefix = "waiting_";

/** Both tables, for what concerns an attachment whatever it has. */
export const tables: readonly NftTable[] = [tableOf("ip"), tableOf("ip6")];

/** What the tables need in the kernel, for IPv4 at least. */
export const tableModules = ["nft_chain_nat", "nft_ct", "nft_fib_ipv4", "nft_masq", "nft_nat"] as const;

/** A mapping to an IPv6 address, whose 20 bytes a kernel before 5.8 does not take. */
export const maxTargetLength: NftElements = {
  kind: "nft-elements",
  family: "ip6",
  table: portmapTable,
  set: "ports",
  elements: [{ key: ["tcp", "1"], data: ["::1", "1"] }],
};

export function tableOf(family: NftFamily): NftTable {
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

/** The chain that lets pass what meets the conditions and keeps the rest from being mapped. Equal conditions share one. */
export function conditionsChain(statements: readonly NftStatement[]): NftChain {
  return {
    name: `conditions_${sha1(JSON.stringify(statements)).slice(0, 12)}`,
    rules: [
      { statements: [...statements, { verdict: "return" }], comment: "conditions met" },
      { statements: [{ verdict: "accept" }], comment: "conditions not met" },
    ],
  };
}

function chainsOf(family: NftFamily): readonly NftChain[] {
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

/** Not ::1: what is for it the kernel does not forward, as there is no `route_localnet` for IPv6. It is the host's own. */
function entry(family: NftFamily, hook: "prerouting" | "output"): NftChain {
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

function masquerading(family: NftFamily): readonly NftRule[] {
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

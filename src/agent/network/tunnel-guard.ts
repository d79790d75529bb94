/**
 * The firewall of the node's tunnels: only nodes may send into one.
 *
 *     input     to the tunnel's port (VXLAN) or of its protocol (IPIP), not from a node ──drop
 *     forward   the same from a pod, wherever to ──drop
 *
 * Without it, any host that reaches the node's address could pass packets to pods under any pod's address, past every policy. **It accepts nothing**: a drop
 * here is final, but an administrator's firewall, which may drop as well, has to let nodes through.
 */

import { agentTables, hostInterfacePrefix } from "../../identity/names.ts";
import { type Family, type TableFamily, tableFamilyOf } from "../../net/address.ts";
import type { NftResource, NftStatement, NftTable } from "../../plan/nft.ts";
import type { Scope } from "../../plan/node-plan.ts";
import type { Site } from "./site.ts";

const nodes = "nodes";
/** Before the filters of others (0), so that no rule of theirs is needed. */
const priority = -10;
/** IPPROTO_IPIP, linux/in.h. */
const ipipProtocol = "4";

/** Nothing for a node without tunnels of this family. */
export function planTunnelGuard({ address, peers, vxlan, ipip }: Site): readonly NftResource[] {
  const family = tableFamilyOf(address);
  const kinds: readonly (readonly [name: string, statements: readonly NftStatement[]])[] = [
    ...(vxlan === undefined ? [] : [["VXLAN", toPort(vxlan.port)] as const]),
    ...(ipip === undefined ? [] : [["IPIP", [{ match: "meta l4proto", op: "==", value: ipipProtocol }]] as const]),
  ];
  if (kinds.length === 0) return [];
  const elements = [...peers.values()].map((peer) => ({ key: [peer.address] }));
  return [
    tableOf(family, kinds),
    { kind: "nft-elements", family, table: agentTables.tunnel, set: nodes, elements, shared: true },
  ];
}

function toPort(port: number): readonly NftStatement[] {
  return [
    { match: "meta l4proto", op: "==", value: "udp" },
    { match: "th dport", op: "==", value: `${port}` },
  ];
}

function tableOf(
  family: TableFamily,
  kinds: readonly (readonly [name: string, statements: readonly NftStatement[]])[],
): NftTable {
  const foreign: NftStatement = { lookup: [`${family} saddr`], op: "!=", set: nodes };
  const fromPod: NftStatement = { match: "iifname", op: "==", value: `${hostInterfacePrefix}*` };
  const chain = (hook: "input" | "forward", condition: NftStatement, comment: string) => ({
    name: hook,
    hook: { type: "filter" as const, hook, priority },
    rules: kinds.map(([name, statements]) => ({
      statements: [...statements, condition, { verdict: "drop" as const }],
      comment: `${name} ${comment}`,
    })),
  });
  return {
    kind: "nft-table",
    family,
    name: agentTables.tunnel,
    sets: [{ name: nodes, key: [family === "ip" ? "ipv4_addr" : "ipv6_addr"], comment: "who may send into tunnels" }],
    chains: [chain("input", foreign, "comes from nodes alone"), chain("forward", fromPod, "does not come from pods")],
  };
}

/** Without tunnels the table goes. */
export function guardScopes(families: readonly Family[]): readonly Scope[] {
  return families.flatMap((number): readonly Scope[] => {
    const family = number === 4 ? "ip" : "ip6";
    return [
      { kind: "elements", family, table: agentTables.tunnel, set: nodes },
      { kind: "table", family, name: agentTables.tunnel },
    ];
  });
}

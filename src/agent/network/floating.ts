/**
 * Floating IPs: addresses by which a pod is reached although it does not have them.
 *
 *     to a floating IP, from outside, a pod or the node ──dnat──► the pod's address
 *     from a pod to itself by its floating IP           ──snat──► the floating IP, because a pod drops packets from its own address
 *     route of the floating IP                          the pod's host interface: BGP announces it if it is in a pool
 *
 * What a pod sends otherwise keeps its own address, or leaves by natOutgoing, as in Calico. All of a node's are elements of two maps: a packet costs one
 * look-up, however many there are.
 */

import type { NetworkEndpoint } from "../../cluster-network/network-endpoint.ts";
import { agentTables, routeProtocol } from "../../identity/names.ts";
import { type Family, familyOf, type TableFamily } from "../../net/address.ts";
import { hostPrefix } from "../../net/prefix.ts";
import type { NftElement, NftElements, NftStatement, NftTable } from "../../plan/nft.ts";
import type { NodeResource, Scope } from "../../plan/node-plan.ts";
import type { Snapshot } from "./snapshot.ts";
import type { Trouble } from "./trouble.ts";

const floating = "floating";
const hairpin = "hairpin";
/** Before kube-proxy, docker (-100) and host ports (-95), as Calico's chain is. */
const dnatPriority = -110;
/** Before natOutgoing (100). */
const snatPriority = 90;

interface Target {
  readonly external: string;
  readonly internal: string;
  readonly endpoint: NetworkEndpoint;
}

/** The lists are in the order of the floating IPs. */
export function planFloating(
  { endpoints, settings }: Pick<Snapshot, "endpoints" | "settings">,
  family: Family,
): { readonly resources: readonly NodeResource[]; readonly troubles: readonly Trouble[] } {
  const { targets, troubles } = targetsOf(settings.floatingIPs === "Enabled" ? endpoints : [], family);
  if (targets.length === 0) return { resources: [], troubles };
  const tableFamily = family === 4 ? "ip" : "ip6";
  const routes = targets.map(({ external, endpoint }) => ({
    ...({ kind: "route", at: "host", scope: "link", protocol: routeProtocol } as const),
    link: endpoint.hostInterface,
    destination: hostPrefix(external),
  }));
  const inward = targets.map(({ external, internal }) => ({ key: [external], data: [internal] }));
  return {
    resources: [
      tableOf(tableFamily),
      { ...elementsOf(tableFamily, floating, inward), forgetsFlows: true },
      elementsOf(tableFamily, hairpin, hairpins(targets)),
      ...routes,
    ],
    troubles,
  };
}

/** Of two pods with one floating IP the one with the lower address has it, as in Calico. */
function targetsOf(
  endpoints: readonly NetworkEndpoint[],
  family: Family,
): { readonly targets: readonly Target[]; readonly troubles: readonly Trouble[] } {
  const all = endpoints
    .flatMap((endpoint) => endpoint.nats.map((nat) => ({ ...nat, endpoint })))
    .filter(({ external }) => familyOf(external) === family)
    .sort((one, other) => compare(one.external, other.external) || compare(one.internal, other.internal));
  const targets = all.filter(({ external }, at) => all[at - 1]?.external !== external);
  const troubles = all.flatMap(({ external, endpoint }) => {
    const winner = targets.find((one) => one.external === external)?.endpoint ?? endpoint;
    return winner === endpoint ? [] : [conflict(external, winner.name, endpoint.name)];
  });
  return { targets, troubles };
}

function conflict(external: string, winner: string, loser: string): Trouble {
  return {
    about: `floating IP ${external} of ${loser}`,
    message: `cannot lead floating IP ${external} to ${loser}: ${winner} on this node has it too; remove it from the annotation of one of them`,
  };
}

function compare(one: string, other: string): number {
  return one < other ? -1 : Number(one > other);
}

/** One for each pod's address: its first floating IP. */
function hairpins(targets: readonly Target[]): readonly NftElement[] {
  const firsts = new Map<string, string>();
  for (const { external, internal } of targets) if (!firsts.has(internal)) firsts.set(internal, external);
  return [...firsts].map(([internal, external]) => ({ key: [internal, internal], data: [external] }));
}

function elementsOf(family: TableFamily, set: string, elements: readonly NftElement[]): NftElements {
  return { kind: "nft-elements", family, table: agentTables.floating, set, elements, shared: true };
}

function tableOf(family: TableFamily): NftTable {
  const type = family === "ip" ? "ipv4_addr" : "ipv6_addr";
  const chain = (
    hook: "prerouting" | "output" | "postrouting",
    priority: number,
    statement: NftStatement,
    comment: string,
  ) => ({
    name: hook,
    hook: { type: "nat" as const, hook, priority },
    rules: [{ statements: [statement], comment }],
  });
  const inward: NftStatement = { nat: "dnat", addressMap: [`${family} daddr`], map: floating };
  const back: NftStatement = { nat: "snat", addressMap: [`${family} saddr`, `${family} daddr`], map: hairpin };
  return {
    kind: "nft-table",
    family,
    name: agentTables.floating,
    sets: [
      { name: floating, key: [type], data: [type], comment: "floating IPs, and the addresses of their pods" },
      {
        name: hairpin,
        key: [type, type],
        data: [type],
        comment: "pods that reach themselves, and by which floating IP",
      },
    ],
    chains: [
      chain("prerouting", dnatPriority, inward, "floating IPs lead to pods"),
      chain("output", dnatPriority, inward, "floating IPs lead to pods"),
      chain("postrouting", snatPriority, back, "a pod reaches itself"),
    ],
  };
}

/** Without floating IPs the tables go. */
export function floatingScopes(families: readonly Family[]): readonly Scope[] {
  return families.flatMap((number): readonly Scope[] => {
    const family = number === 4 ? "ip" : "ip6";
    return [
      { kind: "elements", family, table: agentTables.floating, set: floating },
      { kind: "elements", family, table: agentTables.floating, set: hairpin },
      { kind: "table", family, name: agentTables.floating },
    ];
  });
}

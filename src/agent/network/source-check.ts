/**
 * Pods send from their own addresses alone: a packet is dropped unless its source is routed to the interface by which it came. Calico's agent does the same
 * (`rpfilter`, felix/rules).
 *
 *     from a pod, a source that it may use too ──accept──┐
 *     from a pod, a source routed elsewhere ──drop       ├──► whatever else looks at the packet
 *     from its own address ──────────────────────────────┘
 */

import type { NetworkEndpoint } from "../../cluster-network/network-endpoint.ts";
import { agentTables, hostInterfacePrefix } from "../../identity/names.ts";
import type { TableFamily } from "../../net/address.ts";
import { type Family, familyOf } from "../../net/address.ts";
import { lengthOf } from "../../net/prefix.ts";
import type { NftRule, NftStatement, NftTable } from "../../plan/nft.ts";
import type { NodeResource, Scope } from "../../plan/node-plan.ts";
import type { Sysctl } from "../../plan/resource.ts";
import type { Snapshot } from "./snapshot.ts";

const allowed = "allowed";
/** Before connection tracking (-200), which need not remember what is dropped. */
const rawPriority = -300;

/** Nothing for a family of which pods have no addresses. */
export function planSourceCheck(
  { endpoints, pools, settings }: Pick<Snapshot, "endpoints" | "pools" | "settings">,
  family: Family,
): readonly NodeResource[] {
  if (!pools.some((pool) => pool.family === family)) return [];
  const asked = settings.workloadSourceSpoofing === "Any" ? endpoints : [];
  const spoofing = asked
    .map(({ sources, ...endpoint }) => ({ ...endpoint, sources: sources.filter((one) => familyOf(one) === family) }))
    .filter(({ sources }) => sources.length > 0)
    .sort((one, other) => (one.hostInterface < other.hostInterface ? -1 : 1));
  return [tableOf(family === 4 ? "ip" : "ip6", spoofing), ...(family === 4 ? spoofing.map(withoutFilter) : [])];
}

/** The kernel's own check of the interface, which would drop the packets as well. IPv6 has none. */
function withoutFilter({ hostInterface }: NetworkEndpoint): Sysctl {
  return { kind: "sysctl", at: "host", path: `net/ipv4/conf/${hostInterface}/rp_filter`, value: "0", optional: true };
}

function tableOf(family: TableFamily, spoofing: readonly NetworkEndpoint[]): NftTable {
  const fromPod: NftStatement = { match: "iifname", op: "==", value: `${hostInterfacePrefix}*` };
  const isElsewhere: NftStatement = { match: "fib saddr . iif oif", op: "==", value: "0" };
  const allow = ({ hostInterface, name }: NetworkEndpoint, source: string): NftRule => ({
    statements: [
      { match: "iifname", op: "==", value: hostInterface },
      ...(lengthOf(source) === 0 ? [] : [{ match: `${family} saddr` as const, op: "==" as const, value: source }]),
      { verdict: "accept" },
    ],
    // A comment takes 127 bytes.
    comment: `${name} may send from ${source}`.slice(-120),
  });
  return {
    kind: "nft-table",
    family,
    name: agentTables.source,
    sets: [],
    chains: [
      { name: allowed, rules: spoofing.flatMap((one) => one.sources.map((source) => allow(one, source))) },
      {
        name: "prerouting",
        hook: { type: "filter", hook: "prerouting", priority: rawPriority },
        rules: [
          { statements: [fromPod, { jump: allowed }], comment: "networks that pods may use beside their addresses" },
          { statements: [fromPod, isElsewhere, { verdict: "drop" }], comment: "pods send from their own addresses" },
        ],
      },
    ],
  };
}

export function sourceScopes(families: readonly Family[]): readonly Scope[] {
  return families.map((number) => ({ kind: "table", family: number === 4 ? "ip" : "ip6", name: agentTables.source }));
}

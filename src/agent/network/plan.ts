/**
 * The plan of a node's network: a pure function of what the cluster and this node are.
 *
 *     pools, blocks, nodes ──► destinations ──► routes              ┐
 *     nodes, this node     ──► site ──► tunnel devices, their guard ├──► NodePlan ──► tortie-net
 *     pools, settings      ──► natOutgoing                          │
 *     pods of this node    ──► floating IPs, the check of sources   ┘
 */

import { type TunnelKind, tunnelMtu } from "../../cluster-network/mtu.ts";
import { ipipDevice, routeProtocol, vxlanDevices } from "../../identity/names.ts";
import { hostPrefix } from "../../net/prefix.ts";
import { mainTable } from "../../plan/describe.ts";
import type { NodePlan, NodeResource, Scope } from "../../plan/node-plan.ts";
import { floatingScopes, planFloating } from "./floating.ts";
import { routesOf } from "./routes.ts";
import { type Site, viewSite } from "./site.ts";
import type { PluginObjects, Snapshot } from "./snapshot.ts";
import { planSourceCheck, sourceScopes } from "./source-check.ts";
import type { Trouble } from "./trouble.ts";
import { guardScopes, planTunnelGuard } from "./tunnel-guard.ts";
import { planVxlan } from "./vxlan.ts";

export interface NetworkPlan {
  /** `undefined`: nothing can be said of the network, and it is to stay as it is. */
  readonly plan: NodePlan | undefined;
  /** Of pods' interfaces. */
  readonly mtu: number | undefined;
  readonly troubles: readonly Trouble[];
}

export function planNetwork(snapshot: Snapshot, { forwarding, nat }: PluginObjects): NetworkPlan {
  const families = snapshot.hasIpv6 ? ([4, 6] as const) : ([4] as const);
  const views = families.map((family) => viewSite(snapshot, family));
  const troubles = views.flatMap((view) => view.troubles);
  const sites = views.flatMap(({ site }) => site ?? []);
  // An interface that is down for a moment must not cost the node its tunnel.
  const isBlind =
    sites.length === 0 || views.some(({ site, troubles: found }) => site === undefined && found.length > 0);
  if (isBlind) return { plan: undefined, mtu: undefined, troubles };
  const routed = sites.map((site) => routesOf(snapshot, site));
  const floating = families.map((family) => planFloating(snapshot, family));
  const resources: readonly NodeResource[] = [
    ...forwarding,
    ...sites.flatMap(planVxlan),
    ...sites.flatMap(planIpip),
    ...routed.flatMap(({ routes }) => routes),
    ...nat,
    ...sites.flatMap(planTunnelGuard),
    ...floating.flatMap((one) => one.resources),
    ...families.flatMap((family) => planSourceCheck(snapshot, family)),
  ];
  return {
    plan: {
      resources,
      scopes: [
        ...scopesOf(families),
        ...guardScopes(families),
        ...floatingScopes(families),
        ...sourceScopes(families),
        ...natScopes(nat),
      ],
    },
    mtu: podMtu(snapshot, sites),
    troubles: [...troubles, ...[...routed, ...floating].flatMap((one) => one.troubles)],
  };
}

function planIpip({ ipip }: Site): readonly NodeResource[] {
  if (ipip === undefined) return [];
  const { device, mtu, address } = ipip;
  return [
    { kind: "ipip", at: "host", name: device, mtu },
    { kind: "address", at: "host", link: device, address: hostPrefix(address) },
  ];
}

/** Also of encapsulations that no pool uses any more: what an earlier plan made goes. */
function scopesOf(families: readonly (4 | 6)[]): readonly Scope[] {
  const devices = [...families.map((family) => vxlanDevices[family]), ipipDevice];
  return [
    ...families.map((family) => ({ kind: "routes", protocol: routeProtocol, table: mainTable, family }) as const),
    ...devices.flatMap((name) => [{ kind: "link", link: name } as const, { kind: "device", name } as const]),
  ];
}

function natScopes(nat: PluginObjects["nat"]): readonly Scope[] {
  return nat.flatMap((one): readonly Scope[] =>
    one.kind === "nft-elements" ? [{ kind: "elements", family: one.family, table: one.table, set: one.set }] : [],
  );
}

/** Packets of pods must fit through every tunnel that a pool may send them to. */
function podMtu({ pools, settings }: Snapshot, sites: readonly Site[]): number {
  const mtus = sites.flatMap(({ uplink, family }) => {
    const used = new Set(pools.filter((pool) => pool.family === family).map(({ encapsulation }) => encapsulation));
    const kinds: readonly TunnelKind[] = [
      ...(used.has("vxlan") ? [family === 4 ? ("vxlan" as const) : ("vxlan-v6" as const)] : []),
      ...(used.has("ipip") ? (["ipip"] as const) : []),
    ];
    return [uplink.mtu, ...kinds.map((kind) => tunnelMtu(uplink.mtu, kind, settings))];
  });
  return Math.min(...mtus);
}

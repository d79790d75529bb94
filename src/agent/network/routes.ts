/**
 * The routes of a node to the addresses of the pools.
 *
 *     an own block                 blackhole                            addresses that no pod has are dropped; pods have narrower routes
 *     VXLAN                        via <tunnel address> dev vxlan.calico onlink
 *     IPIP                         via <node address> dev tunl0 onlink
 *     direct, or in the subnet     via <node address> dev <uplink> onlink
 *     another node's tunnel        dev vxlan.calico
 */

import type { NetworkPool } from "../../cluster-network/network-pool.ts";
import { routeProtocol } from "../../identity/names.ts";
import { lengthOf } from "../../net/prefix.ts";
import type { Blackhole, Route } from "../../plan/resource.ts";
import { type Destination, destinationsOf } from "./destinations.ts";
import type { Peer } from "./peers.ts";
import type { Site } from "./site.ts";
import type { Snapshot } from "./snapshot.ts";
import type { Trouble } from "./trouble.ts";

export interface Routes {
  /** In the order of their destinations. */
  readonly routes: readonly (Route | Blackhole)[];
  readonly troubles: readonly Trouble[];
}

export function routesOf(snapshot: Snapshot, site: Site): Routes {
  const routes: (Route | Blackhole)[] = [];
  const troubles = new Map<string, Trouble>();
  const programsDirect = (snapshot.settings.programClusterRoutes ?? (snapshot.usesBgp ? "" : "Enabled")) === "Enabled";
  const isOurs = ({ encapsulation }: NetworkPool) => encapsulation !== "none" || programsDirect;
  const destinations = [...destinationsOf(snapshot, site.family).values()].sort(byPrefix);
  for (const destination of destinations) {
    if (destination.node === snapshot.node) routes.push(...ownBlock(destination));
    else if (isOurs(destination.pool)) {
      const peer = site.peers.get(destination.node);
      // The addresses of a node that is gone are released; until then there is nowhere to send packets to.
      if (peer === undefined) continue;
      const way = routeTo(destination, peer, site);
      if (way === undefined) continue;
      if ("kind" in way) routes.push(way);
      else troubles.set(way.about, way);
    }
  }
  return { routes, troubles: [...troubles.values()] };
}

function byPrefix({ prefix: one }: Destination, { prefix: other }: Destination): number {
  return one < other ? -1 : Number(one > other);
}

/** A block of one address has none: it would take the place of the pod's own route. */
function ownBlock({ prefix }: Destination): readonly Blackhole[] {
  if (isSingle(prefix)) return [];
  return [{ kind: "blackhole", at: "host", destination: prefix, protocol: routeProtocol }];
}

function isSingle(prefix: string): boolean {
  return lengthOf(prefix) === (prefix.includes(":") ? 128 : 32);
}

function routeTo({ prefix, pool, tunnel }: Destination, peer: Peer, site: Site): Route | Trouble | undefined {
  const { encapsulation, onlyAcrossSubnets } = pool;
  if (encapsulation === "none" || (onlyAcrossSubnets && peer.isInSubnet)) {
    return routeVia(prefix, peer.address, site.uplink.name, { protocol: routeProtocol });
  }
  const device = site[encapsulation];
  // The site says why.
  if (device === undefined) return undefined;
  if (encapsulation === "ipip") return routeVia(prefix, peer.address, device.device, { protocol: routeProtocol });
  if (peer.vxlan === undefined) return noPeer(peer);
  const { mtu } = device;
  // The tunnel's own address cannot be its gateway.
  if (tunnel === "vxlan") {
    return { kind: "route", at: "host", link: device.device, destination: prefix, mtu };
  }
  return routeVia(prefix, peer.vxlan.address, device.device, { mtu });
}

function routeVia(
  destination: string,
  gateway: string,
  link: string,
  more: { readonly protocol?: number; readonly mtu?: number },
): Route {
  return { kind: "route", at: "host", link, destination, gateway, onlink: true, ...more };
}

function noPeer({ name }: Peer): Trouble {
  return {
    about: `tunnel of ${name}`,
    message: `cannot route by VXLAN to node "${name}": its Node names no tunnel address, or another node's; its own agent assigns it`,
    isUsual: true,
  };
}

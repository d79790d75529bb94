/** Reads which way the packet takes from its host interface: the routes there and back, the tunnel's entries, and the interface by which it leaves. */
import type { NetworkNode } from "../../cluster-network/network-node.ts";
import { ipipDevice, vxlanDevices } from "../../identity/names.ts";
import { familyOf } from "../../net/address.ts";
import type { Cli } from "../cli.ts";
import type { IpRule } from "../doctor/reach/facts.ts";
import type { Entry, Link, LocalPod, Lookup, Target, TraceFacts, Tunnel, Uplink } from "./facts.ts";
import { forwardedTo, lookUp, neighbourOf } from "./kernel-tables.ts";
import { addressOfNode, farNodeOf } from "./nodes.ts";
import { withRefuser } from "./refuser.ts";

export interface Ends {
  readonly source: LocalPod;
  readonly target: Target;
  readonly own: NetworkNode | undefined;
  readonly links: ReadonlyMap<string, Link> | undefined;
  readonly rules: readonly IpRule[] | undefined;
}

type Way = Pick<TraceFacts, "route" | "reply" | "tunnel" | "uplink">;
type Route = Extract<Lookup, { kind: "route" }>;

export async function gatherWay(cli: Cli, ends: Ends): Promise<Way> {
  const { source, target } = ends;
  const route = await ask(cli, ends, { to: target.address, from: source.address, iif: source.hostInterface });
  if (route.kind !== "route" || target.kind === "this node")
    return { route, reply: { kind: "unasked" }, tunnel: undefined, uplink: undefined };
  const tunnel = await gatherTunnel(cli, route, ends);
  return {
    route,
    reply: await ask(cli, ends, { to: source.address, from: target.address, iif: route.dev }),
    tunnel,
    uplink: target.kind === "local pod" ? undefined : await gatherUplink(cli, route, tunnel, ends),
  };
}

interface Packet {
  readonly to: string;
  readonly from: string;
  readonly iif: string;
}

async function ask(cli: Cli, { rules }: Ends, packet: Packet): Promise<Lookup> {
  const { to, from, iif } = packet;
  const found = await lookUp(cli, [], familyOf(to), [to, "from", from, "iif", iif]);
  return await withRefuser(cli, found, packet, rules);
}

async function gatherTunnel(cli: Cli, route: Route, ends: Ends): Promise<Tunnel | undefined> {
  const { target, links } = ends;
  const family = familyOf(target.address);
  const kind = route.dev === ipipDevice ? "ipip" : route.dev === vxlanDevices[family] ? "vxlan" : undefined;
  if (kind === undefined) return undefined;
  const neighbour: Entry =
    kind === "ipip" || route.gateway === undefined
      ? { kind: "missing" }
      : await neighbourOf(cli, [], route.gateway, route.dev);
  const forwards: Entry =
    neighbour.kind === "found" ? await forwardedTo(cli, route.dev, neighbour.value) : { kind: "missing" };
  const far = addressOfNode(farNodeOf(target), family);
  const { local, below } = links?.get(route.dev)?.vxlan ?? {};
  // As the kernel looks it up for the device.
  const bound = [...(local === undefined ? [] : ["from", local]), ...(below === undefined ? [] : ["oif", below])];
  const outer: Lookup = far === undefined ? { kind: "unasked" } : await lookUp(cli, [], family, [far, ...bound]);
  const own = local ?? addressOfNode(ends.own, family);
  const outerReply: Lookup =
    outer.kind !== "route" || far === undefined || own === undefined
      ? { kind: "unasked" }
      : await ask(cli, ends, { to: own, from: far, iif: outer.dev });
  return { kind, device: route.dev, neighbour, forwards, outer, outerReply };
}

async function gatherUplink(
  cli: Cli,
  route: Route,
  tunnel: Tunnel | undefined,
  { target }: Ends,
): Promise<Uplink | undefined> {
  const outer = tunnel === undefined ? route : tunnel.outer;
  if (outer.kind !== "route") return undefined;
  const destination =
    tunnel === undefined ? target.address : addressOfNode(farNodeOf(target), familyOf(target.address));
  const nextHop = outer.gateway ?? destination;
  if (nextHop === undefined) return undefined;
  return { dev: outer.dev, nextHop, neighbour: await neighbourOf(cli, [], nextHop, outer.dev) };
}

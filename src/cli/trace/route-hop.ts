/** The route by which the packet leaves, and whether it is the one that the datastore asks for. */
import { type Encapsulation, poolOf } from "../../cluster-network/network-pool.ts";
import { ipipDevice, vxlanDevices } from "../../identity/names.ts";
import { addressOf, contains } from "../../net/prefix.ts";
import { divertedBy } from "./diverted.ts";
import type { Holder, Lookup, Target, TraceFacts } from "./facts.ts";
import { askAgent, describeRoute, type Judged, refusedBy, repair, unaskedText, unchecked } from "./judged.ts";
import { addressOfNode, holderOf } from "./nodes.ts";

type Route = Extract<Lookup, { kind: "route" }>;

export function nodeRoute(facts: TraceFacts): Judged {
  const what = "route";
  const { route, target } = facts;
  if (route.kind === "unasked") return unchecked(what, unaskedText(route));
  if (target.kind === "unallocated") return unallocated(facts, target);
  if (route.kind === "refused") return refusal(facts, route);
  const fault = misled(facts, route);
  const diverted = divertedBy(facts, route);
  const text = `${describeRoute(route)}${fault === undefined ? "" : `: ${fault.text}`}${diverted}`;
  if (fault !== undefined) return { what, text, verdict: fault.isSure ? "wrong" : "unchecked", remedy: fault.remedy };
  return diverted === "" ? { what, text, verdict: "good" } : unchecked(what, text);
}

interface Misled {
  readonly text: string;
  readonly isSure: boolean;
  readonly remedy: string;
}

/** Whether the route leads elsewhere than to the target; `undefined`: it does not. */
function misled(facts: TraceFacts, route: Route): Misled | undefined {
  const { target, source } = facts;
  const sure = (text: string, remedy: string): Misled => ({ text, isSure: true, remedy });
  if (target.kind === "local pod" && route.dev !== target.pod.hostInterface)
    return sure(`the pod is behind ${target.pod.hostInterface}`, repair);
  if (route.dev === source.hostInterface) return sure("back to the pod that sent it", repair);
  if (target.kind !== "far pod" && target.kind !== "far node") return undefined;
  const isForeign = route.via !== undefined && route.via !== "default" && !isOfBird(route);
  const remedy = isForeign ? `ip route delete ${route.via}\n${askAgent}` : askAgent;
  const mode = encapsulationTo(facts, target);
  const text = wrongWay(facts, target, mode, route);
  if (text !== undefined) return sure(text, remedy);
  const beside = mode === "none" ? besideNode(facts, target, route) : undefined;
  return beside === undefined ? undefined : { text: beside, isSure: !isOfBird(route), remedy };
}

function unallocated({ node, route }: TraceFacts, target: Extract<Target, { kind: "unallocated" }>): Judged {
  const { block, on, holder } = target;
  const belongs =
    block === undefined ? "no block of the pool contains it" : `its block ${block} belongs to ${on ?? "no node"}`;
  const goes = route.kind === "route" ? `leaves by ${route.dev}` : "ends on this node";
  return {
    what: "route",
    text: `${holder === undefined ? `no pod has ${target.address}` : heldText(target.address, holder, node)} (${belongs}); the packet ${goes}`,
    verdict: "wrong",
    remedy: `tortie ipam show --ip ${target.address}`,
  };
}

function heldText(address: string, { pod, node: on }: Holder, node: string): string {
  const whose = pod === undefined ? "" : ` to ${pod}`;
  if (on === node) return `${address} is allocated${whose} on this node, where no pod has it`;
  return `${address} is allocated${whose} on node ${on ?? "of no name"}, which the datastore does not know`;
}

/** The kernel refuses the packet. */
function refusal(facts: TraceFacts, route: Extract<Lookup, { kind: "refused" }>): Judged {
  const { target, source } = facts;
  const { text, remedy } = refusedBy(facts, route, { from: source.address, iif: source.hostInterface });
  const missing =
    target.kind === "far pod"
      ? `there is no route to the block ${target.block} of ${target.on.name}`
      : target.kind === "local pod"
        ? "there is no route to the pod"
        : undefined;
  const usual = target.kind === "far pod" ? askAgent : target.kind === "local pod" ? repair : "ip route; ip rule";
  return {
    what: "route",
    text: missing === undefined ? text : `${text}: ${missing}`,
    verdict: "wrong",
    remedy: remedy ?? usual,
  };
}

type Far = Extract<Target, { kind: "far pod" | "far node" }>;

/** Whether a packet to an address of another node takes the way of its pool's mode; `undefined`: it does. */
function wrongWay(
  { family, links }: TraceFacts,
  target: Far,
  mode: Encapsulation | undefined,
  route: Route,
): string | undefined {
  if (mode === undefined) return undefined;
  const device = mode === "vxlan" ? vxlanDevices[family] : mode === "ipip" ? ipipDevice : undefined;
  if (device !== undefined && route.dev !== device)
    return `by the mode of its pool the packet should leave by ${device}${stateOf(device, links)}`;
  if (route.via === "default" && target.kind === "far pod")
    return `there is no route to the block ${target.block} of ${target.on.name}`;
  if (mode === "none" && [...Object.values(vxlanDevices), ipipDevice].includes(route.dev))
    return "by the mode of its pool the packet should leave without a tunnel";
  const gateway = mode === "vxlan" ? target.on.vxlanAddresses[family] : addressOfNode(target.on, family);
  if (gateway === undefined || mode === "none" || target.kind === "far node" || route.gateway === gateway)
    return undefined;
  return `the block ${target.block} is ${target.on.name}'s, whose gateway is ${gateway}`;
}

/** Why no route may lead by the device. */
function stateOf(device: string, links: TraceFacts["links"]): string {
  if (links === undefined) return "";
  const link = links.get(device);
  return link === undefined ? ", which is missing" : link.isUp ? "" : ", which is down";
}

/**
 * Without a tunnel the next hop is the node itself, at the interface with this node's address; `undefined`: it is. Only BGP may know a better way: a router, or
 * another interface.
 */
function besideNode(facts: TraceFacts, target: Far, route: Route): string | undefined {
  const { family, own, links } = facts;
  const wanted = addressOfNode(target.on, family);
  if (target.kind === "far node" || wanted === undefined) return undefined;
  if (route.gateway !== wanted) return `the next hop should be ${wanted} of ${target.on.name}${by(route)}`;
  const mine = addressOfNode(own, family);
  const holder = holderOf(links, mine);
  return holder === undefined || holder.name === route.dev
    ? undefined
    : `this node's address ${mine} is on ${holder.name}`;
}

function by(route: Route): string {
  return isOfBird(route) ? "; BIRD chose another, which may be a router" : "";
}

/** RTPROT_BIRD (linux/rtnetlink.h), if ip(8) does not know its name. */
const birdNumber = "12";

function isOfBird({ protocol }: Route): boolean {
  return protocol === "bird" || protocol === birdNumber;
}

/** How packets to an address of a pool travel, by the mode of the pool; `undefined`: it is in no pool. */
function encapsulationTo({ pools, own, family }: TraceFacts, { address, on }: Far): Encapsulation | undefined {
  const pool = poolOf(pools, address);
  if (pool === undefined) return undefined;
  const [mine, theirs] = [own?.addresses[family], on.addresses[family]];
  if (pool.onlyAcrossSubnets && mine !== undefined && theirs !== undefined && contains(mine, addressOf(theirs)))
    return "none";
  return pool.encapsulation;
}

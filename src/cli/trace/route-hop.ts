/** The route by which the packet leaves, and whether it is the one that the datastore asks for. */
import { type Encapsulation, poolOf } from "../../cluster-network/network-pool.ts";
import { ipipDevice, vxlanDevices } from "../../identity/names.ts";
import { addressOf, contains } from "../../net/prefix.ts";
import type { Holder, Lookup, Target, TraceFacts } from "./facts.ts";
import { askAgent, describeRoute, type Judged, repair } from "./judged.ts";

export function nodeRoute(facts: TraceFacts): Judged {
  const what = "route";
  const { route, target, source } = facts;
  if (route.kind === "unasked") return { what, text: "could not be asked for", verdict: "unchecked" };
  if (target.kind === "unallocated") return unallocated(facts, target);
  if (route.kind === "refused") return { what, text: refusal(facts, route.reason), ...whatToDo(facts) };
  if (target.kind === "local pod" && route.dev !== target.pod.hostInterface)
    return {
      what,
      text: `${describeRoute(route)}: the pod is behind ${target.pod.hostInterface}`,
      verdict: "wrong",
      remedy: repair,
    };
  if (target.kind === "far pod") {
    const fault = wrongWay(facts, route);
    const isForeign = route.via !== undefined && route.via !== "default";
    const remedy = isForeign ? `ip route delete ${route.via}\n${askAgent}` : askAgent;
    if (fault !== undefined) return { what, text: fault, verdict: "wrong", remedy };
  }
  if (route.dev === source.hostInterface)
    return { what, text: `${describeRoute(route)}: back to the pod that sent it`, verdict: "wrong", remedy: repair };
  return { what, text: describeRoute(route), verdict: "good" };
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

function refusal({ target, source }: TraceFacts, reason: string): string {
  const filter = `the reverse path filter refuses ${source.address} from ${source.hostInterface}`;
  if (reason.includes("cross-device")) return `${reason}: ${filter}`;
  if (reason.includes("Invalid argument")) return `${reason}: a blackhole route has the address, or ${filter}`;
  if (target.kind === "far pod")
    return `${reason}: there is no route to the block ${target.block} of ${target.on.name}`;
  if (target.kind === "local pod") return `${reason}: there is no route to the pod`;
  return reason;
}

function whatToDo({ target }: TraceFacts): Pick<Judged, "verdict" | "remedy"> {
  return {
    verdict: "wrong",
    remedy: target.kind === "far pod" ? askAgent : target.kind === "outside" ? "ip route; ip rule" : repair,
  };
}

/** Whether the packet to a pod of another node takes the way of its pool's mode; `undefined`: it does. */
function wrongWay(facts: TraceFacts, route: Extract<Lookup, { kind: "route" }>): string | undefined {
  const { target, family } = facts;
  if (target.kind !== "far pod") return undefined;
  const mode = encapsulationTo(facts);
  const device = mode === "vxlan" ? vxlanDevices[family] : mode === "ipip" ? ipipDevice : undefined;
  if (device !== undefined && route.dev !== device)
    return `${describeRoute(route)}: by the mode of its pool the packet should leave by ${device}`;
  if (route.via === "default")
    return `${describeRoute(route)}: there is no route to the block ${target.block} of ${target.on.name}`;
  const gateway = gatewayTo(facts, mode);
  if (gateway !== undefined && mode !== "none" && route.gateway !== gateway)
    return `${describeRoute(route)}: the block ${target.block} is ${target.on.name}'s, whose gateway is ${gateway}`;
  return undefined;
}

/** How packets to the target travel, by the mode of its pool. */
function encapsulationTo({ target, pools, own, family }: TraceFacts): Encapsulation | undefined {
  if (target.kind !== "far pod") return undefined;
  const pool = poolOf(pools, target.address);
  if (pool === undefined) return undefined;
  const [mine, theirs] = [own?.addresses[family], target.on.addresses[family]];
  if (pool.onlyAcrossSubnets && mine !== undefined && theirs !== undefined && contains(mine, theirs)) return "none";
  return pool.encapsulation;
}

function gatewayTo({ target, family }: TraceFacts, mode: Encapsulation | undefined): string | undefined {
  if (target.kind !== "far pod") return undefined;
  const address = target.on.addresses[family];
  return mode === "vxlan" ? target.on.vxlanAddresses[family] : address && addressOf(address);
}

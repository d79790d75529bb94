/** The possible effects of the rules on each pod's packets. */

import { hostInterfacePrefix } from "../../../identity/names.ts";
import { addressBytes, type Family } from "../../../net/address.ts";
import type { ProbeResult, ReachFacts, ReachPod } from "./facts.ts";
import {
  type BaseChain,
  distinguishing,
  type FilterPosition,
  matchesFamily,
  matchKey,
  type Packet,
  walk,
} from "./filter.ts";
import { probeTargets } from "./probe.ts";

/** `among`: to another pod on the node. */
export type Direction = "out" | "back" | "among";

export interface FilterResult {
  readonly verdict: "passes" | "may be dropped" | "dropped";
  readonly place: FilterPosition | undefined;
  /** Whether a rule explicitly accepts packets of pods, by interface or address. */
  readonly isProvidedFor: boolean;
}

/** The result for a pod's packets in one direction. */
export interface PathResult extends FilterResult {
  readonly pod: ReachPod;
  readonly direction: Direction;
}

const hooks = ["prerouting", "forward", "postrouting"] as const;

/** Evaluates the rules once for all pods that they treat alike. */
export function filterPaths({ pods, ways, uplinks, chains }: ReachFacts): readonly PathResult[] {
  const known = new Map<string, FilterResult>();
  const passed = { 4: passedBy(chains, 4), 6: passedBy(chains, 6) };
  const apart = { 4: distinguishing(passed[4]), 6: distinguishing(passed[6]) };
  return pods.flatMap((pod, index): readonly PathResult[] => {
    const { family } = pod;
    const out = ways[index]?.out;
    const uplink = out?.kind === "route" ? out : uplinks[family];
    if (uplink.kind !== "route") return [];
    const other = pods.find((one) => one.family === family && one.hostInterface !== pod.hostInterface);
    const packets = { ...packetsOf(pod, uplink.dev), ...(other !== undefined && { among: packetTo(pod, other) }) };
    return Object.entries(packets).map(([name, packet]) => {
      const direction = name as Direction;
      const key = `${family} ${direction} ${matchKey(apart[family], packet)}`;
      const verdict = known.get(key) ?? verdictOf(passed[family], packet);
      known.set(key, verdict);
      return { pod, direction, ...verdict };
    });
  });
}

/** In the order of traversal. */
function passedBy(chains: readonly BaseChain[], family: Family): readonly BaseChain[] {
  return hooks.flatMap((hook) => chains.filter((base) => base.hook === hook && matchesFamily(base, { family })));
}

/** A path is closed if neither protocol can pass. */
function verdictOf(passed: readonly BaseChain[], packet: Packet): FilterResult {
  const verdicts = (["udp", "tcp"] as const).map((protocol) => {
    const outcomes = passed.map((base) => walk(base, { ...packet, protocol }));
    return { sure: outcomes.find(({ accept }) => !accept), possible: outcomes.find(({ drop }) => drop) };
  });
  const sure = verdicts.every((one) => one.sure !== undefined) ? verdicts[0]?.sure : undefined;
  const possible = sure ?? verdicts.map((one) => one.sure ?? one.possible).find((one) => one !== undefined);
  const place = possible?.places[0];
  return {
    verdict: sure !== undefined ? "dropped" : possible !== undefined ? "may be dropped" : "passes",
    place,
    isProvidedFor: place !== undefined && providesFor(place.base, packet),
  };
}

function packetsOf(pod: ReachPod, uplink: string): Readonly<Record<"out" | "back", Packet>> {
  const { family, hostInterface } = pod;
  const [own, far] = [addressBytes(pod.address), addressBytes(probeTargets[family])];
  const common = { family, protocol: "udp" } as const;
  return {
    out: { ...common, iif: hostInterface, oif: uplink, saddr: own, daddr: far, state: "new" },
    back: { ...common, iif: uplink, oif: hostInterface, saddr: far, daddr: own, state: "established" },
  };
}

function packetTo(pod: ReachPod, other: ReachPod): Packet {
  return {
    family: pod.family,
    iif: pod.hostInterface,
    oif: other.hostInterface,
    saddr: addressBytes(pod.address),
    daddr: addressBytes(other.address),
    protocol: "udp",
    state: "new",
  };
}

function providesFor(base: BaseChain, packet: Packet): boolean {
  return [...base.chains.values()].flat().some(({ matches, verdict }) => {
    if (verdict.kind !== "accept") return false;
    const specific = matches.filter(
      (match) =>
        ((match.kind === "iif" || match.kind === "oif") &&
          match.names.some((name) => name.startsWith(hostInterfacePrefix))) ||
        match.kind === "saddr" ||
        match.kind === "daddr",
    );
    const only = {
      ...base,
      policy: "drop",
      chains: new Map([[base.name, [{ matches: specific, verdict, text: "" }]]]),
    } as const;
    return specific.length > 0 && walk(only, packet).accept;
  });
}

/** The result of a probe for a pod's direction. */
export function outcomeOf(result: ProbeResult | undefined, direction: Direction): "passed" | "lost" | "unknown" {
  if (result === undefined || direction === "among") return "unknown";
  if (direction === "out") {
    return result.left === "yes" ? "passed" : result.left === "no" || result.answer === "refused" ? "lost" : "unknown";
  }
  return result.answer === "came" ? "passed" : result.answer === "unknown" ? "unknown" : "lost";
}

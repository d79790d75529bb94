/**
 * The effect of firewall rules on pods' packets: decided by the rules if they are unambiguous, by a probe packet if not.
 *
 *     rules            probe passed  probe lost                  no probe
 *     accept           ok            packets-lost (by unknown)   ok
 *     may drop         ok            forward-dropped             policy drop: forward-may-drop, else ok
 *     always drop      ok            forward-dropped             forward-dropped
 *
 * The same for packets in the other direction, where the probe is the gateway's answer.
 */
import { familyOf } from "../../../net/address.ts";
import type { Finding } from "../finding.ts";
import { commandsToAllow, culpritsOf, describeBase } from "./culprits.ts";
import type { ReachFacts } from "./facts.ts";
import type { FilterPosition } from "./filter.ts";
import { filterPaths, outcomeOf, type PathResult } from "./filter-paths.ts";
import { describeCutOff, listOf, namesOf } from "./words.ts";

export function checkFirewall(facts: ReachFacts, pools: readonly string[]): readonly Finding[] {
  const paths = filterPaths(facts);
  const accused = paths.flatMap((path) => accuse(path, paths, facts));
  return groupedByChain(accused, facts, pools);
}

interface Accusation {
  readonly path: PathResult;
  readonly place: FilterPosition;
  readonly severity: Finding["severity"];
  readonly proof: string;
}

function accuse(path: PathResult, all: readonly PathResult[], { probe }: ReachFacts): readonly Accusation[] {
  const { pod, direction, verdict, place, isProvidedFor } = path;
  if (place === undefined) return [];
  // The operator may isolate pods from each other on purpose, and no probe tests it.
  if (direction === "among") return verdict === "dropped" ? [{ path, place, severity: "warning", proof: "" }] : [];
  const result = probe.results.find((one) => one.pod.address === pod.address);
  const ofFamily = probe.results.filter((one) => one.pod.family === pod.family);
  const own = outcomeOf(result, direction);
  if (own === "passed") return [];
  if (verdict === "dropped") {
    return [{ path, place, severity: "error", proof: own === "lost" ? "a probe packet was lost" : "" }];
  }
  if (own === "lost") {
    // A packet that did not leave has no answer.
    const isConsequence = direction === "back" && outcomeOf(result, "out") !== "passed";
    if (isConsequence && all.some((one) => one.pod === pod && one.direction === "out" && one.place !== undefined))
      return [];
    const severity = isProvidedFor ? "warning" : "error";
    return [{ path, place, severity, proof: "a probe packet was lost" }];
  }
  const isAsked = ofFamily.some((one) => outcomeOf(one, direction) !== "unknown");
  if (isAsked || isProvidedFor || place.base.policy !== "drop" || direction === "back") return [];
  return [{ path, place, severity: "warning", proof: "" }];
}

const whatGoes = {
  out: "packets from pods to the outside",
  back: "replies to pods",
  among: "packets between pods",
} as const;

function groupedByChain(
  accusations: readonly Accusation[],
  facts: ReachFacts,
  pools: readonly string[],
): readonly Finding[] {
  const groups = new Map<string, Accusation[]>();
  for (const one of accusations) {
    const key = describeBase(one.place.base);
    groups.set(key, [...(groups.get(key) ?? []), one]);
  }
  return [...groups].flatMap(([subject, group]) => {
    const [first] = group;
    return first === undefined ? [] : [findingOf(subject, first, group, facts, pools)];
  });
}

function findingOf(
  subject: string,
  { place, path }: Accusation,
  group: readonly Accusation[],
  facts: ReachFacts,
  pools: readonly string[],
): Finding {
  const culprits = culpritsOf(place, facts.services);
  const isSure = group.some(
    ({ severity, proof, path: one }) => severity === "error" || proof !== "" || one.verdict === "dropped",
  );
  const severity = group.some((one) => one.severity === "error") ? "error" : "warning";
  const directions = [...new Set(group.map(({ path: one }) => one.direction))];
  const what = directions.map((one) => whatGoes[one]);
  const proof = group.some((one) => one.proof !== "") ? "; a probe packet was lost" : "";
  const pods = [...new Set(group.map(({ path: one }) => one.pod))];
  const own = pools.filter((pool) => pods.some(({ family }) => family === familyOf(pool)));
  return {
    id: isSure ? "forward-dropped" : "forward-may-drop",
    section: "reach",
    severity,
    subject,
    text:
      `${isSure ? "drops" : "may drop"} ${listOf(what)}, by ${describePlace(place)}${proof}; ${belongsTo(culprits, place)}: ` +
      (isSure && severity === "error" ? describeCutOff(pods) : namesOf(pods)),
    remedy: commandsToAllow(place, culprits, path.pod.family, own),
  };
}

export function describePlace({ chain, rule, base }: FilterPosition): string {
  if (rule === undefined) return `its policy "drop"`;
  return chain === base.name ? rule : `${rule}${rule.includes(chain) ? "" : ` of chain ${chain}`}`;
}

export function belongsTo(culprits: readonly string[], { rule, base }: FilterPosition): string {
  if (culprits.length > 0) return `${listOf(culprits)} created it, and --fix does not change foreign rules`;
  const who = base.backend === "nft" ? "an administrator's ruleset or a program" : "an administrator or a program";
  return rule === undefined
    ? `${who} unknown to Tortie set it, and --fix does not change foreign rules`
    : `no program that is known here created it, and --fix does not change foreign rules`;
}

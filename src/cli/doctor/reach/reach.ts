/** The paths of packets: all checks of them, and a summary of what was asked. */
import type { Pool } from "../../../ipam/model/pool.ts";
import type { Family } from "../../../net/address.ts";
import { contains, hostPrefix } from "../../../net/prefix.ts";
import type { Finding } from "../finding.ts";
import { plural } from "../plural.ts";
import { checkFelix } from "./check-felix.ts";
import { checkFirewall } from "./check-firewall.ts";
import { checkLinks } from "./check-links.ts";
import { checkProbes } from "./check-probes.ts";
import { checkRoutes } from "./check-routes.ts";
import type { ProbeResult, ReachFacts } from "./facts.ts";
import { outcomeOf } from "./filter-paths.ts";
import { checkForwarding } from "./forwarding.ts";

export function checkReach(facts: ReachFacts, pools: readonly Pool[]): readonly Finding[] {
  const ofPods = facts.pods.length === 0 ? [] : checkPods(facts, pools);
  return [...ofPods, ...checkFelix(facts, ofPods)];
}

function checkPods(facts: ReachFacts, pools: readonly Pool[]): readonly Finding[] {
  const prefixes = prefixesOf(facts, pools);
  const certain = (some: ReachFacts) => [
    ...checkForwarding(some),
    ...checkRoutes(some, prefixes),
    ...checkFirewall(some, prefixes),
    ...checkLinks(some, prefixes),
  ];
  // A lost probe is reported only if no other finding of its family explains it.
  const all = certain(facts);
  const explained = ([4, 6] as const).filter(
    (family) =>
      all.length > 0 &&
      certain(ofFamily(facts, family)).some(({ id, severity }) => severity === "error" || id === "forward-dropped"),
  );
  return [...all, ...checkProbes(facts, ({ family }) => explained.includes(family))];
}

/** Whether a probe was lost without a known cause. */
export function hasUnexplainedLoss(facts: ReachFacts, pools: readonly Pool[]): boolean {
  return checkReach(facts, pools).some(({ id }) => puzzles.includes(id));
}

const puzzles: readonly string[] = ["packets-lost", "answers-lost"];

function ofFamily(facts: ReachFacts, family: Family): ReachFacts {
  const isOf = (pod: { readonly family: Family } | undefined) => pod?.family === family;
  return { ...facts, pods: facts.pods.filter(isOf), ways: facts.ways.filter((_, index) => isOf(facts.pods[index])) };
}

/** A summary of what was asked, for people. */
export function describeReach(facts: ReachFacts): string {
  const { pods, probe, uplinks } = facts;
  if (pods.length === 0) return "no pods";
  const ways = ([4, 6] as const).flatMap((family) => {
    if (!pods.some((pod) => pod.family === family)) return [];
    const uplink = uplinks[family];
    return [`IPv${family} by ${uplink.kind === "route" ? uplink.dev : "no default route"}`];
  });
  const probes = probe.unsent === undefined ? describeProbes(probe.results) : `no probe packet sent (${probe.unsent})`;
  return [pods.length === 1 ? "1 address of a pod" : `${pods.length} addresses of pods`, ...ways, probes].join("; ");
}

/** The results of the probes, and what they could not show. */
function describeProbes(results: readonly ProbeResult[]): string {
  const all = results.length;
  const passed = results.filter((one) => outcomeOf(one, "out") === "passed").length;
  const unseen = results.filter((one) => outcomeOf(one, "out") === "unknown").length;
  const answered = results.filter(({ answer }) => answer === "came").length;
  const silent = results.filter(({ answer }) => answer === "unknown").length;
  const those = (some: number) => (some < all ? `${some} of them` : all === 1 ? "it" : "they");
  return [
    `${plural(all, "probe packet")} sent`,
    ...(unseen < all ? [`${passed} seen leaving the node`] : []),
    ...(unseen > 0 ? [`whether ${those(unseen)} left is not visible from here`] : []),
    ...(silent < all ? [`${answered} answered`] : []),
    ...(silent > 0 ? [silent < all ? `no answer to ${silent} is expected` : "no answer is expected"] : []),
  ].join(", ");
}

/** The prefixes of pods: the pools, and addresses outside of all pools. */
function prefixesOf({ pods }: ReachFacts, pools: readonly Pool[]): readonly string[] {
  const prefixes = pods.map(
    ({ address }) => pools.find(({ cidr }) => contains(cidr, address))?.cidr ?? hostPrefix(address),
  );
  return [...new Set(prefixes)];
}

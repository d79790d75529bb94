/** The way of packets: all that is judged of it, and what was asked. */
import type { Pool } from "../../../ipam/model/pool.ts";
import type { Family } from "../../../net/address.ts";
import { contains, hostPrefix } from "../../../net/prefix.ts";
import type { Finding } from "../finding.ts";
import { plural } from "../plural.ts";
import type { ProbeResult, ReachFacts } from "./facts.ts";
import { judgeForwarding } from "./forwarding.ts";
import { judgeFirewall } from "./judge-firewall.ts";
import { judgeLinks } from "./judge-links.ts";
import { judgeProbes } from "./judge-probes.ts";
import { judgeRoutes } from "./judge-routes.ts";
import { outcomeOf } from "./verdict.ts";

export function judgeReach(facts: ReachFacts, pools: readonly Pool[]): readonly Finding[] {
  if (facts.pods.length === 0) return [];
  const prefixes = prefixesOf(facts, pools);
  const certain = (some: ReachFacts) => [
    ...judgeForwarding(some),
    ...judgeRoutes(some, prefixes),
    ...judgeFirewall(some, prefixes),
    ...judgeLinks(some, prefixes),
  ];
  // What a probe lost is told where nothing that is told of its family explains it.
  const all = certain(facts);
  const explained = ([4, 6] as const).filter(
    (family) =>
      all.length > 0 &&
      certain(ofFamily(facts, family)).some(({ id, severity }) => severity === "error" || id === "forward-dropped"),
  );
  return [...all, ...judgeProbes(facts, ({ family }) => explained.includes(family))];
}

/** Whether a probe shows what nothing explains. */
export function hasPuzzle(facts: ReachFacts, pools: readonly Pool[]): boolean {
  return judgeReach(facts, pools).some(({ id }) => puzzles.includes(id));
}

const puzzles: readonly string[] = ["packets-lost", "answers-lost"];

function ofFamily(facts: ReachFacts, family: Family): ReachFacts {
  const isOf = (pod: { readonly family: Family } | undefined) => pod?.family === family;
  return { ...facts, pods: facts.pods.filter(isOf), ways: facts.ways.filter((_, index) => isOf(facts.pods[index])) };
}

/** What was asked, for people. */
export function describeReach(facts: ReachFacts): string {
  const { pods, probe, uplinks } = facts;
  if (pods.length === 0) return "no pod to be asked for";
  const ways = ([4, 6] as const).flatMap((family) => {
    if (!pods.some((pod) => pod.family === family)) return [];
    const uplink = uplinks[family];
    return [`IPv${family} by ${uplink.kind === "route" ? uplink.dev : "no default route"}`];
  });
  const probes = probe.unsent === undefined ? describeProbes(probe.results) : `no probe packet sent (${probe.unsent})`;
  return [pods.length === 1 ? "1 address of a pod" : `${pods.length} addresses of pods`, ...ways, probes].join("; ");
}

/** What was seen of the packets, and of which nothing can be seen. */
function describeProbes(results: readonly ProbeResult[]): string {
  const all = results.length;
  const passed = results.filter((one) => outcomeOf(one, "out") === "passed").length;
  const unseen = results.filter((one) => outcomeOf(one, "out") === "unknown").length;
  const answered = results.filter(({ answer }) => answer === "came").length;
  const silent = results.filter(({ answer }) => answer === "unknown").length;
  const those = (some: number) => (some < all ? `${some} of them` : all === 1 ? "it" : "they");
  return [
    `${plural(all, "probe packet")} sent`,
    ...(unseen < all ? [`${passed} seen to leave`] : []),
    ...(unseen > 0 ? [`whether ${those(unseen)} left cannot be seen from here`] : []),
    ...(silent < all ? [`${answered} answered`] : []),
    ...(silent > 0 ? [silent < all ? `no answer to ${silent} is to be expected` : "no answer is to be expected"] : []),
  ].join(", ");
}

/** Where pods are: the pools, and addresses outside all of them. */
function prefixesOf({ pods }: ReachFacts, pools: readonly Pool[]): readonly string[] {
  const prefixes = pods.map(
    ({ address }) => pools.find(({ cidr }) => contains(cidr, address))?.cidr ?? hostPrefix(address),
  );
  return [...new Set(prefixes)];
}

/** Problems that only a probe packet shows, not rules, routes or sysctls. */
import type { Finding } from "../finding.ts";
import type { ReachFacts, ReachPod } from "./facts.ts";
import { outcomeOf } from "./filter-paths.ts";
import { sysctlName } from "./sysctl.ts";
import { describeCutOff, namesOf } from "./words.ts";

/** `isExplained`: another finding reports the cause already. */
export function checkProbes(facts: ReachFacts, isExplained: (pod: ReachPod) => boolean): readonly Finding[] {
  const { results } = facts.probe;
  const lost = results.filter((one) => outcomeOf(one, "out") === "lost" && !isExplained(one.pod)).map(({ pod }) => pod);
  const mute = results.filter(
    (one) => outcomeOf(one, "out") !== "lost" && outcomeOf(one, "back") === "lost" && !isExplained(one.pod),
  );
  const finding = { section: "reach", subject: "probe packet" } as const;
  return [
    ...(lost.length === 0
      ? []
      : [
          {
            ...finding,
            id: "packets-lost",
            severity: "error",
            text: `of a pod did not leave the node, and no known rule, route or sysctl explains it: ${describeCutOff(lost)}`,
            remedy: "nft list ruleset; ip rule; tc -s qdisc; nft monitor trace   # find out what drops it",
          } as const,
        ]),
    ...(mute.length === 0
      ? []
      : facts.probe.reversePathDrops > 0 && strictLinks(facts).length > 0
        ? [
            checkReversePath(
              facts,
              mute.map(({ pod }) => pod),
            ),
          ]
        : [
            {
              ...finding,
              id: "answers-lost",
              severity: "warning",
              text: `of a pod got no answer from the gateway, which answers the node itself: ${namesOf(mute.map(({ pod }) => pod))}`,
              remedy: "nft list ruleset; conntrack -L   # find out what changes or drops replies",
            } as const,
          ]),
    ...checkSource(facts),
  ];
}

/** The greater of `all` and the interface's own value counts; 1 is strict (ip-sysctl). A host interface leads to its pod only. */
function strictLinks({ sysctls, links, pods }: ReachFacts): readonly string[] {
  const own = new Set(pods.map(({ hostInterface }) => hostInterface));
  const count = (name: string) => Number(sysctls.get(`net/ipv4/conf/${name}/rp_filter`) ?? 0);
  return links
    .map(({ name }) => name)
    .filter((name) => name !== "lo" && !own.has(name) && Math.max(count("all"), count(name)) === 1);
}

function checkReversePath(facts: ReachFacts, mute: readonly ReachPod[]): Finding {
  const strict = strictLinks(facts);
  return {
    id: "reverse-path-filter",
    section: "reach",
    severity: "error",
    subject: `rp_filter of ${strict.join(", ")}`,
    text: `is strict, and dropped the reply to a probe packet, which arrived on another interface than that of the route to its source; the setting protects the node, so whether to loosen it is your decision: ${describeCutOff(mute)}`,
    remedy: strict.map((name) => `sysctl -w ${sysctlName(`net/ipv4/conf/${name}/rp_filter`)}=2`).join("\n"),
  };
}

/** If the pool has natOutgoing, its packets must leave with an address of the node. */
function checkSource({ probe: { results }, ownAddresses }: ReachFacts): readonly Finding[] {
  const wrong = results.filter(
    ({ pod, leftAs }) => pod.hasNat && leftAs !== undefined && !ownAddresses.includes(leftAs),
  );
  return wrong.slice(0, 1).map(({ pod, leftAs }) => ({
    id: "nat-elsewhere",
    section: "reach",
    severity: "warning",
    subject: pod.address,
    text:
      leftAs === pod.address
        ? `(${pod.name}) leaves the node with its own address, although its pool has natOutgoing: a foreign rule comes first`
        : `(${pod.name}) leaves the node with ${leftAs}, which is not an address of the node: a foreign source NAT comes first`,
    remedy: "nft -a list ruleset | grep -e snat -e masquerade -e SNAT   # and exclude pods from the rule",
  }));
}

/** What a probe packet shows and rules, routes and sysctls do not. */
import type { Finding } from "../finding.ts";
import type { ReachFacts, ReachPod } from "./facts.ts";
import { sysctlName } from "./sysctl.ts";
import { outcomeOf } from "./verdict.ts";
import { cutOff, namesOf } from "./words.ts";

/** `isExplained`: an error is told already. */
export function judgeProbes(facts: ReachFacts, isExplained: (pod: ReachPod) => boolean): readonly Finding[] {
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
            text: `of a pod did not leave the node, and no rule, route or sysctl that is understood here explains it: ${cutOff(lost)}`,
            remedy: "nft list ruleset; ip rule; tc -s qdisc; nft monitor trace   # look for what drops it",
          } as const,
        ]),
    ...(mute.length === 0
      ? []
      : facts.probe.reversePathDrops > 0 && strictLinks(facts).length > 0
        ? [
            judgeReversePath(
              facts,
              mute.map(({ pod }) => pod),
            ),
          ]
        : [
            {
              ...finding,
              id: "answers-lost",
              severity: "warning",
              text: `of a pod got no answer of the gateway, which answers the node itself: ${namesOf(mute.map(({ pod }) => pod))}`,
              remedy: "nft list ruleset; conntrack -L   # look for what changes or drops answers",
            } as const,
          ]),
    ...judgeSource(facts),
  ];
}

/** The greater of `all` and the interface's own counts; 1 is strict (ip-sysctl). A host interface has its pod behind it and nothing else. */
function strictLinks({ sysctls, links, pods }: ReachFacts): readonly string[] {
  const own = new Set(pods.map(({ hostInterface }) => hostInterface));
  const count = (name: string) => Number(sysctls.get(`net/ipv4/conf/${name}/rp_filter`) ?? 0);
  return links
    .map(({ name }) => name)
    .filter((name) => name !== "lo" && !own.has(name) && Math.max(count("all"), count(name)) === 1);
}

function judgeReversePath(facts: ReachFacts, mute: readonly ReachPod[]): Finding {
  const strict = strictLinks(facts);
  return {
    id: "reverse-path-filter",
    section: "reach",
    severity: "error",
    subject: `rp_filter of ${strict.join(", ")}`,
    text: `is strict, and dropped what was answered to a probe packet, for it came in by another interface than the node would send to its source by; it is the node's own protection, and yours to loosen: ${cutOff(mute)}`,
    remedy: strict.map((name) => `sysctl -w ${sysctlName(`net/ipv4/conf/${name}/rp_filter`)}=2`).join("\n"),
  };
}

/** Where a pool has natOutgoing its packets leave by an address of the node's. */
function judgeSource({ probe: { results }, ownAddresses }: ReachFacts): readonly Finding[] {
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
        ? `(${pod.name}) leaves the node by its own address, though its pool has natOutgoing: another's rule comes before ours`
        : `(${pod.name}) leaves the node by ${leftAs}, which is no address of the node: another's source NAT comes before ours`,
    remedy: "nft -a list ruleset | grep -e snat -e masquerade -e SNAT   # and take pods out of the rule",
  }));
}

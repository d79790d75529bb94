/**
 * What firewall rules do to pods' packets: by the rules where they leave no doubt, by a probe packet where they do.
 *
 *     rules            probe left    probe lost                  no probe
 *     let pass         well          packets-lost (nobody known) well
 *     may drop         well          forward-dropped             policy drop: forward-may-drop, else well
 *     drop surely      well          forward-dropped             forward-dropped
 *
 * The same for what comes back, where the probe is the gateway's answer.
 */
import { addressBytes } from "../../../net/address.ts";
import { hostInterfacePrefix } from "../../../plan/names.ts";
import type { Finding } from "../finding.ts";
import { culpritsOf, describeBase, letThrough } from "./culprits.ts";
import type { ProbeResult, ReachFacts, ReachPod } from "./facts.ts";
import { type BaseChain, concerns, type Packet, type Place, walk } from "./filter.ts";
import { farAway } from "./probe.ts";
import { cutOff, listOf, namesOf } from "./words.ts";

type Direction = "out" | "back";

/** What the rules can do to a pod's packets of one direction. */
interface Verdict {
  readonly pod: ReachPod;
  readonly direction: Direction;
  readonly fate: "passes" | "may be dropped" | "dropped";
  readonly place: Place | undefined;
  /** Whether a rule accepts packets by a pod's interface or address: somebody has thought of pods. */
  readonly isProvidedFor: boolean;
}

const hooks = ["prerouting", "forward", "postrouting"] as const;

export function judgeFirewall(facts: ReachFacts, pools: readonly string[]): readonly Finding[] {
  const verdicts = facts.pods.flatMap((pod, index): readonly Verdict[] => {
    const out = facts.ways[index]?.out;
    const uplink = out?.kind === "route" ? out : facts.uplinks[pod.family];
    if (uplink.kind !== "route") return [];
    return (["out", "back"] as const).map((direction) => judgeWay(facts.chains, pod, uplink.dev, direction));
  });
  const accused = verdicts.flatMap((verdict) => accuse(verdict, verdicts, facts));
  return groupedByChain(accused, facts, pools);
}

/** A way is closed when neither protocol has a chance. */
function judgeWay(chains: readonly BaseChain[], pod: ReachPod, uplink: string, direction: Direction): Verdict {
  const passed = hooks.flatMap((hook) => chains.filter((base) => base.hook === hook && concerns(base, pod)));
  const fates = (["udp", "tcp"] as const).map((protocol) => {
    const packet = packetOf(pod, uplink, direction, protocol);
    const outcomes = passed.map((base) => walk(base, packet));
    const sure = outcomes.find(({ accept }) => !accept);
    const possible = outcomes.find(({ drop }) => drop);
    return { sure, possible, packet };
  });
  const sure = fates.every((one) => one.sure !== undefined) ? fates[0]?.sure : undefined;
  const possible = sure ?? fates.map((one) => one.sure ?? one.possible).find((one) => one !== undefined);
  const place = possible?.places[0];
  const [{ packet } = { packet: undefined }] = fates;
  return {
    pod,
    direction,
    fate: sure !== undefined ? "dropped" : possible !== undefined ? "may be dropped" : "passes",
    place,
    isProvidedFor: place !== undefined && packet !== undefined && providesFor(place.base, packet),
  };
}

function packetOf(pod: ReachPod, uplink: string, direction: Direction, protocol: "tcp" | "udp"): Packet {
  const { family, hostInterface } = pod;
  const [own, other] = [addressBytes(pod.address), addressBytes(farAway[family])];
  return direction === "out"
    ? { family, iif: hostInterface, oif: uplink, saddr: own, daddr: other, protocol, state: "new" }
    : { family, iif: uplink, oif: hostInterface, saddr: other, daddr: own, protocol, state: "established" };
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

interface Accusation {
  readonly verdict: Verdict;
  readonly place: Place;
  readonly severity: Finding["severity"];
  readonly proof: string;
}

function accuse(verdict: Verdict, all: readonly Verdict[], { probe }: ReachFacts): readonly Accusation[] {
  const { pod, direction, fate, place, isProvidedFor } = verdict;
  if (place === undefined) return [];
  const result = probe.results.find((one) => one.pod.address === pod.address);
  const ofFamily = probe.results.filter((one) => one.pod.family === pod.family);
  const own = outcomeOf(result, direction);
  if (own === "passed") return [];
  if (fate === "dropped") {
    return [{ verdict, place, severity: "error", proof: own === "lost" ? "a probe packet was lost" : "" }];
  }
  if (own === "lost") {
    // Nothing came back of what did not leave.
    const isConsequence = direction === "back" && outcomeOf(result, "out") !== "passed";
    if (isConsequence && all.some((one) => one.pod === pod && one.direction === "out" && one.place !== undefined))
      return [];
    const severity = isProvidedFor ? "warning" : "error";
    return [{ verdict, place, severity, proof: "a probe packet was lost" }];
  }
  const isAsked = ofFamily.some((one) => outcomeOf(one, direction) !== "unknown");
  if (isAsked || isProvidedFor || place.base.policy !== "drop" || direction === "back") return [];
  return [{ verdict, place, severity: "warning", proof: "" }];
}

export function outcomeOf(result: ProbeResult | undefined, direction: Direction): "passed" | "lost" | "unknown" {
  if (result === undefined) return "unknown";
  if (direction === "out") {
    return result.left === "yes" ? "passed" : result.left === "no" || result.answer === "refused" ? "lost" : "unknown";
  }
  return result.answer === "came" ? "passed" : result.answer === "unknown" ? "unknown" : "lost";
}

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
  { place, verdict }: Accusation,
  group: readonly Accusation[],
  facts: ReachFacts,
  pools: readonly string[],
): Finding {
  const culprits = culpritsOf(place, facts.services);
  const isSure = group.some(
    ({ severity, proof, verdict: one }) => severity === "error" || proof !== "" || one.fate === "dropped",
  );
  const severity = group.some((one) => one.severity === "error") ? "error" : "warning";
  const directions = [...new Set(group.map(({ verdict: one }) => one.direction))];
  const what = directions.map((one) => (one === "out" ? "what pods send out of the node" : "what is answered to them"));
  const proof = group.some((one) => one.proof !== "") ? "; a probe packet was lost" : "";
  const pods = [...new Set(group.map(({ verdict: one }) => one.pod))];
  const { family } = verdict.pod;
  const own = pools.filter((pool) => pool.includes(":") === (family === 6));
  return {
    id: isSure ? "forward-dropped" : "forward-may-drop",
    section: "reach",
    severity,
    subject,
    text:
      `${isSure ? "drops" : "may drop"} ${listOf(what)}, by ${describePlace(place)}${proof}; ${belongsTo(culprits, place)}: ` +
      (isSure && severity === "error" ? cutOff(pods) : namesOf(pods)),
    remedy: letThrough(place, culprits, family, own),
  };
}

export function describePlace({ chain, rule, base }: Place): string {
  if (rule === undefined) return `its policy "drop"`;
  return chain === base.name ? rule : `${rule}${rule.includes(chain) ? "" : ` of chain ${chain}`}`;
}

export function belongsTo(culprits: readonly string[], { rule, base }: Place): string {
  if (culprits.length > 0) return `${listOf(culprits)} made it, and --fix leaves alone what is another's`;
  const who = base.backend === "nft" ? "an administrator's rule set or a program" : "an administrator or a program";
  return rule === undefined
    ? `${who} that is not known here set it, and --fix leaves alone what is another's`
    : `no program that is known here made it, and --fix leaves alone what is another's`;
}

/** What a probe packet shows and no rule, route or sysctl explains. `isExplained`: an error is told already. */
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
    remedy: strict.map((name) => `sysctl -w net.ipv4.conf.${name}.rp_filter=2`).join("\n"),
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

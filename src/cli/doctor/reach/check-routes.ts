/**
 * Look-ups with a wrong result, each reported once, by its cause.
 *
 *     refused     forwarding is off (forwarding.ts) ─ a policy rule ─ a route
 *     misrouted   a policy rule before the main table ─ a route that is preferred to the pod's own
 */
import type { Family } from "../../../net/address.ts";
import { contains } from "../../../net/prefix.ts";
import type { Finding } from "../finding.ts";
import { byPrograms } from "../plugin-call.ts";
import { makerOfRule } from "./culprits.ts";
import type { IpRule, PodRoutes, ReachFacts, ReachPod, RouteLookup } from "./facts.ts";
import { isForwardingOff } from "./forwarding.ts";
import { isMisrouted } from "./gather-ways.ts";
import { probeTargets } from "./probe.ts";
import { sysctlName } from "./sysctl.ts";
import { describeCutOff } from "./words.ts";

/** A problem of one pod's route; those with the same title are reported together. */
interface RouteProblem {
  readonly pod: ReachPod;
  readonly id: string;
  readonly subject: string;
  readonly why: string;
  readonly repair: Pick<Finding, "remedy" | "fix">;
}

export function checkRoutes(facts: ReachFacts, pools: readonly string[]): readonly Finding[] {
  const problems = facts.pods.flatMap((pod, index) => {
    const way = facts.ways[index];
    return way === undefined ? [] : problemsOf(pod, way, facts, pools);
  });
  return [...groupedByTitle(problems), ...checkDefaultRoute(facts)];
}

function groupedByTitle(problems: readonly RouteProblem[]): readonly Finding[] {
  const groups = new Map<string, RouteProblem[]>();
  for (const one of problems) {
    const title = `${one.id} ${one.subject}`;
    groups.set(title, [...(groups.get(title) ?? []), one]);
  }
  return [...groups.values()].flatMap((group): readonly Finding[] => {
    const [first] = group;
    if (first === undefined) return [];
    const { id, subject, why, repair } = first;
    const text = `${why}: ${describeCutOff(group.map(({ pod }) => pod))}`;
    return [{ id, section: "reach", severity: "error", subject, text, ...repair }];
  });
}

function problemsOf(
  pod: ReachPod,
  way: PodRoutes,
  facts: ReachFacts,
  pools: readonly string[],
): readonly RouteProblem[] {
  const misrouted = [way.toPod, way.back].find((lookup) => isMisrouted(lookup, pod));
  if (misrouted?.kind === "route") return [misroutedProblem(pod, way, misrouted, facts, pools)];
  const entry = [way.out, facts.uplinks[pod.family]].find((one) => one.kind === "route");
  const { address, family, hostInterface } = pod;
  const far = probeTargets[family];
  const incoming = entry?.kind === "route" ? entry.dev : undefined;
  const refused = [
    { lookup: way.toPod, to: address, from: undefined, iif: undefined, what: "packets to a pod" },
    { lookup: way.back, to: address, from: far, iif: incoming, what: "replies to a pod" },
    { lookup: way.out, to: far, from: address, iif: hostInterface, what: "packets from a pod to the outside" },
  ].find(({ lookup, iif }) => lookup.kind === "refused" && !isForwardingOff(facts, pod.family, iif));
  if (refused?.lookup.kind !== "refused") return [];
  return complainOfRefusal(pod, { ...refused, reason: refused.lookup.reason }, facts, pools);
}

function misroutedProblem(
  pod: ReachPod,
  { conflictingRoute }: PodRoutes,
  misrouted: Extract<RouteLookup, { kind: "route" }>,
  { rules }: ReachFacts,
  pools: readonly string[],
): RouteProblem {
  const { family } = pod;
  const where = misrouted.gateway === undefined ? misrouted.dev : `${misrouted.dev} via ${misrouted.gateway}`;
  const rule = ruleOfTable(rules[family], misrouted.table);
  if (rule !== undefined) {
    const why = `comes before the main table and sends packets to pods to ${where}${madeBy(rule)}`;
    return { pod, id: "way-diverted", subject: nameOfRule(rule, family), why, repair: repairRule(rule, family, pools) };
  }
  const destination = conflictingRoute?.destination ?? pod.address;
  const maker = conflictingRoute?.protocol === undefined ? "" : ` (made by "${conflictingRoute.protocol}")`;
  return {
    pod,
    id: "way-diverted",
    subject: `route ${destination} dev ${misrouted.dev}`,
    why: `takes precedence over the pod's own route and sends its packets to ${where}${maker}; --fix does not change foreign routes`,
    repair: {
      remedy: `ip -${family} route delete ${destination} dev ${misrouted.dev}   # or stop the program that adds it`,
    },
  };
}

/** The first rule that looks up the table. A rule of the main table does not divert packets. */
function ruleOfTable(rules: readonly IpRule[], table: string | undefined): IpRule | undefined {
  if (table === undefined || table === "main" || table === "local" || table === "default") return undefined;
  return rules.find((rule) => rule.table === table && rule.action === undefined);
}

/** A packet of a look-up. */
export interface Asked {
  /** The destination of the look-up. */
  readonly to: string;
  /** Absent: an address of the node. */
  readonly from: string | undefined;
  readonly iif: string | undefined;
}

interface Refused extends Asked {
  readonly reason: string;
  readonly what: string;
}

function complainOfRefusal(
  pod: ReachPod,
  refused: Refused,
  facts: ReachFacts,
  pools: readonly string[],
): readonly RouteProblem[] {
  const { family } = pod;
  const { reason, to, from, iif, what } = refused;
  const rules = facts.rules[family].filter((one) => mayTake(one, refused));
  const rule = rules.find(({ action }) => action !== undefined);
  if (rule !== undefined) {
    const why = `refuses ${what} (${rule.action})${madeBy(rule)}`;
    return [
      { pod, id: "way-refused", subject: nameOfRule(rule, family), why, repair: repairRule(rule, family, pools) },
    ];
  }
  const route = facts.refusing[family].find(
    ({ destination, table }) =>
      rules.some((one) => one.table === table) && (destination === "default" || contains(destination, to)),
  );
  if (route !== undefined) {
    const subject = `route ${route.type} ${route.destination} of table ${route.table}`;
    const argv = ["ip", `-${family}`, "route", "delete", route.type, route.destination, "table", route.table];
    const why = `refuses ${what}; --fix does not change foreign routes`;
    return [{ pod, id: "way-refused", subject, why, repair: { remedy: byPrograms([argv]).remedy } }];
  }
  if (isWithoutDefault(facts, family) && to === probeTargets[family]) return [];
  return [
    {
      pod,
      id: "way-refused",
      subject: `IPv${family} routes`,
      why: `refuse ${what} (${reason})`,
      repair: {
        remedy: `ip -${family} route get ${to}${iif === undefined ? "" : ` from ${from} iif ${iif}`}; ip -${family} rule`,
      },
    },
  ];
}

/** Whether the rule matches such a packet, which has no mark. */
export function mayTake(rule: IpRule, { to, from, iif }: Asked): boolean {
  if (rule.not) return true;
  if (rule.mark !== undefined || (rule.iif !== undefined && rule.iif !== iif)) return false;
  if (rule.to !== undefined && !contains(rule.to, to)) return false;
  return rule.from === undefined || from === undefined || contains(rule.from, from);
}

function nameOfRule({ priority, text }: IpRule, family: Family): string {
  return `IPv${family} rule ${priority} (${text})`;
}

function madeBy(rule: IpRule): string {
  const maker = makerOfRule(rule);
  return maker === undefined
    ? "; VPN clients, NetworkManager and administrators add such rules, and --fix does not change them"
    : `; ${maker} created it, and --fix does not change foreign rules`;
}

/** A rule before it looks up pods' prefixes in the main table. */
function repairRule({ priority }: IpRule, family: Family, pools: readonly string[]): Pick<Finding, "remedy"> {
  const own = pools.filter((pool) => pool.includes(":") === (family === 6));
  if (priority < 2 || own.length === 0) return { remedy: `ip -${family} rule delete pref ${priority}` };
  const before = priority - 1;
  return {
    remedy: own.map((pool) => `ip -${family} rule add pref ${before} to ${pool} lookup main`).join("\n"),
  };
}

function isWithoutDefault({ uplinks }: ReachFacts, family: Family): boolean {
  const uplink = uplinks[family];
  return uplink.kind === "refused" && uplink.reason === "unreachable network";
}

/** Without a default route, pods still reach each other and the node. A node without IPv6 is common; IPv6 that was switched off is reported. */
function checkDefaultRoute(facts: ReachFacts): readonly Finding[] {
  return ([4, 6] as const).flatMap((family): readonly Finding[] => {
    const uplink = facts.uplinks[4];
    const off = uplink.kind === "route" ? `net/ipv6/conf/${uplink.dev}/disable_ipv6` : undefined;
    const isOff = family === 6 && off !== undefined && facts.sysctls.get(off) === "1";
    const pods = facts.pods.filter((pod) => pod.family === family);
    if (pods.length === 0 || !isWithoutDefault(facts, family) || (family === 6 && !isOff)) return [];
    const finding = { id: "no-default-route", section: "reach", severity: "warning" } as const;
    if (isOff && off !== undefined) {
      const text =
        "is 1, and the node has no IPv6 default route: IPv6 packets of pods do not leave the node; this is the node's own setting";
      return [
        {
          ...finding,
          subject: off,
          text,
          remedy: `sysctl -w ${sysctlName(off)}=0   # and an IPv6 default route`,
        },
      ];
    }
    const text = "has no default route: pods reach each other and the node, but nothing outside";
    return [
      { ...finding, subject: `the node (IPv${family})`, text, remedy: `ip -${family} route add default via GATEWAY` },
    ];
  });
}

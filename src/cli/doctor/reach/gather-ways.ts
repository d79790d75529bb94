/** The routes of packets from and to pods, and the rules and routes that may be wrong. */
import * as z from "zod";
import { poolRulePriorities, poolRuleProtocol } from "../../../../plugins/calico/names.ts";
import type { Family } from "../../../net/address.ts";
import type { Cli } from "../../cli.ts";
import type { IpRule, PodRoutes, ReachFacts, ReachPod, RouteLookup } from "./facts.ts";
import { lookUp, type Question } from "./lookup.ts";
import { probeTargets } from "./probe.ts";

export async function gatherWays(
  cli: Cli,
  pods: readonly ReachPod[],
  families: readonly Family[],
): Promise<Pick<ReachFacts, "ways" | "uplinks">> {
  const asked = await lookUp(cli, [
    ...pods.map(({ address, family, hostInterface }) => ({
      to: probeTargets[family],
      from: address,
      iif: hostInterface,
    })),
    ...pods.map(({ address }) => ({ to: address })),
    ...families.map((family) => ({ to: probeTargets[family] })),
  ]);
  const at = (index: number): RouteLookup => asked[index] ?? { kind: "unasked" };
  const uplinkOf = (family: Family) => at(families.includes(family) ? pods.length * 2 + families.indexOf(family) : -1);
  const uplinks = { 4: uplinkOf(4), 6: uplinkOf(6) };
  // If `out` fails, the reply would arrive by the node's own default route.
  const second = pods.flatMap((pod, index): readonly (Question & { readonly index: number })[] => {
    const entry = [at(index), uplinks[pod.family]].find((one) => one.kind === "route");
    const own = at(pods.length + index);
    return [
      ...(entry?.kind === "route" ? [{ index, to: pod.address, from: probeTargets[pod.family], iif: entry.dev }] : []),
      ...(own.kind === "route" && own.source !== undefined ? [{ index, to: pod.address, from: own.source }] : []),
    ];
  });
  const answers = await lookUp(cli, second);
  const found = (index: number, hasIif: boolean): RouteLookup | undefined =>
    answers[second.findIndex((one) => one.index === index && (one.iif !== undefined) === hasIif)];
  const ways = pods.map((pod, index): PodRoutes => {
    const before = at(pods.length + index);
    const toPod = isMisrouted(before, pod) ? before : (found(index, false) ?? before);
    return { out: at(index), toPod, back: found(index, true) ?? { kind: "unasked" }, conflictingRoute: undefined };
  });
  return { uplinks, ways: await nameMisroutes(cli, pods, ways) };
}

const matched = z.array(z.object({ dst: z.string(), protocol: z.string().optional() }));

/** Names the routes of the main table that mislead packets of the first few pods. */
async function nameMisroutes(
  cli: Cli,
  pods: readonly ReachPod[],
  ways: readonly PodRoutes[],
): Promise<readonly PodRoutes[]> {
  let left = 4;
  return Promise.all(
    ways.map(async (way, index) => {
      const pod = pods[index];
      if (pod === undefined || !isMisrouted(way.toPod, pod) || left-- <= 0) return way;
      const argv = ["ip", "-j", `-${pod.family}`, "route", "get", "fibmatch", pod.address];
      const [route] = matched.parse(JSON.parse(await cli.program(argv)));
      if (route === undefined) return way;
      return { ...way, conflictingRoute: { destination: route.dst, protocol: route.protocol } };
    }),
  );
}

/** Whether the route leads elsewhere than to the pod. */
export function isMisrouted(lookup: RouteLookup, { hostInterface }: ReachPod): boolean {
  return lookup.kind === "route" && lookup.dev !== hostInterface;
}

const rule = z.looseObject({
  priority: z.int(),
  src: z.string().optional(),
  srclen: z.int().optional(),
  dst: z.string().optional(),
  dstlen: z.int().optional(),
  table: z.string().optional(),
  action: z.string().optional(),
  fwmark: z.string().optional(),
  protocol: z.string().optional(),
  not: z.unknown().optional(),
});

export async function gatherRules(cli: Cli, families: readonly Family[]): Promise<ReachFacts["rules"]> {
  const ofFamily = async (family: Family) =>
    families.includes(family) ? readRules(await cli.program(["ip", "-j", `-${family}`, "rule", "show"])) : [];
  const [v4, v6] = await Promise.all([ofFamily(4), ofFamily(6)]);
  return { 4: v4, 6: v6 };
}

export function readRules(text: string): readonly IpRule[] {
  return z
    .array(rule)
    .parse(JSON.parse(text.trim() === "" ? "[]" : text))
    .filter((one) => !isOwnRule(one))
    .map((one) => {
      const { priority, src, srclen, dst, dstlen, table, action, fwmark } = one;
      const prefix = (address: string | undefined, length: number | undefined) =>
        address === undefined || address === "all" || length === undefined ? address : `${address}/${length}`;
      const [from, to] = [prefix(src, srclen), prefix(dst, dstlen)];
      const words = [
        ...("not" in one ? ["not"] : []),
        `from ${from ?? "all"}`,
        ...(to === undefined ? [] : [`to ${to}`]),
        ...(fwmark === undefined ? [] : [`fwmark ${fwmark}`]),
        ...(typeof one.iif === "string" ? [`iif ${one.iif}`] : []),
        action ?? (table === undefined ? "" : `lookup ${table}`),
      ];
      return {
        priority,
        text: words.join(" ").trim(),
        table,
        action: action !== undefined && ["blackhole", "unreachable", "prohibit"].includes(action) ? action : undefined,
        from: from === "all" ? undefined : from,
        to: to === "all" ? undefined : to,
        iif: typeof one.iif === "string" ? one.iif : undefined,
        not: "not" in one,
        mark: fwmark,
      };
    });
}

/** Our rules that keep packets between pods off the default route: a pod's own route is found earlier. */
function isOwnRule({ priority, protocol }: z.infer<typeof rule>): boolean {
  return protocol === `${poolRuleProtocol}` && Object.values<number>(poolRulePriorities).includes(priority);
}

/** The protocol of Calico's routes for whole blocks; a pod's own route is preferred to them. */
const ownProtocol = "80";
const refusingTypes = ["blackhole", "unreachable", "prohibit"] as const;
const refusingRoutes = z.array(
  z.object({ dst: z.string(), table: z.string().optional(), protocol: z.string().optional() }),
);

/** A node may have many routes, so they are read only if a look-up was refused. */
export async function gatherRefusing(
  cli: Cli,
  ways: readonly PodRoutes[],
  families: readonly Family[],
): Promise<ReachFacts["refusing"]> {
  const isRefused = ways.some(({ out, back, toPod }) => [out, back, toPod].some(({ kind }) => kind === "refused"));
  const ofFamily = async (family: Family) => {
    if (!isRefused || !families.includes(family)) return [];
    const lists = refusingTypes.map(async (type) => {
      const text = await cli.program(["ip", "-j", `-${family}`, "route", "show", "table", "all", "type", type]);
      const routes = refusingRoutes.parse(JSON.parse(text.trim() === "" ? "[]" : text));
      return routes
        .filter(({ protocol }) => protocol !== ownProtocol)
        .map(({ dst, table = "main" }) => ({ type, destination: dst, table }));
    });
    return (await Promise.all(lists)).flat();
  };
  const [v4, v6] = await Promise.all([ofFamily(4), ofFamily(6)]);
  return { 4: v4, 6: v6 };
}

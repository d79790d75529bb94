/** Looks at what the pods' packets meet. Changes nothing; a handful of programs, whatever the number of pods. */
import * as z from "zod";
import { isErrno } from "../../../host/sys.ts";
import type { Pool } from "../../../ipam/pool.ts";
import { canonicalAddress, type Family, familyOf } from "../../../net/address.ts";
import { addressOf, contains } from "../../../net/prefix.ts";
import { gateway6 } from "../../../plan/names.ts";
import type { Cli } from "../../cli.ts";
import { messageOf } from "../../error.ts";
import type { Process } from "../../processes.ts";
import { isAtWork, livesIn, nameOfTrace, sandboxPath } from "../attachments.ts";
import type { Trace } from "../sandboxes.ts";
import {
  type IpRule,
  type LinkFact,
  type Lookup,
  noReachFacts,
  type ProbeFacts,
  type ReachFacts,
  type ReachPod,
  type Way,
} from "./facts.ts";
import { gatherChains } from "./gather-chains.ts";
import { lookUp, type Question } from "./lookup.ts";
import { farAway, sendProbes } from "./probe.ts";

export interface ReachOptions {
  readonly pools: readonly Pool[];
  readonly processes: readonly Process[];
  /** What CHECK found, by owner: what is told of an attachment already is not told again. */
  readonly differences: ReadonlyMap<string, unknown>;
  /** Families whose natOutgoing is known to be broken: that is told already. */
  readonly brokenNat: readonly Family[];
  /** Whether packets may be sent. */
  readonly probe: boolean;
}

export async function gatherReach(cli: Cli, traces: readonly Trace[], options: ReachOptions): Promise<ReachFacts> {
  const pods = podsIn(traces, options);
  if (pods.length === 0) return noReachFacts;
  cli.progress.begin("asking for the way of packets");
  const [routing, chains, rules, links] = await Promise.all([
    gatherWays(cli, pods),
    gatherChains(cli),
    gatherRules(cli),
    gatherLinks(cli, pods),
  ]);
  const { ways, uplinks } = routing;
  const probe: ProbeFacts = options.probe
    ? await sendProbes(
        cli,
        pods,
        ways.map(({ out }) => out),
      )
    : { unsent: "--no-probe", results: [], reversePathDrops: 0 };
  cli.progress.end();
  return {
    pods,
    ways,
    uplinks,
    rules,
    refusing: await gatherRefusing(cli, ways),
    sysctls: gatherSysctls(cli, pods, ways, links.facts),
    chains: chains.chains,
    links: links.facts,
    ownAddresses: links.ownAddresses,
    services: servicesIn(options.processes),
    servesDns: servesDns(cli),
    probe,
    unseen: [...chains.unseen, ...(probe.isFaulty ? [`whether packets pass: ${probe.unsent}`] : [])],
  };
}

/** Those that are whole, and that nothing is at work on. */
function podsIn(
  traces: readonly Trace[],
  { pools, processes, differences, brokenNat }: ReachOptions,
): readonly ReachPod[] {
  return traces.flatMap((trace): readonly ReachPod[] => {
    const endpoint = trace.record?.endpoint;
    const hostInterface = trace.link?.ifname;
    if (!livesIn(trace) || endpoint === undefined || hostInterface === undefined) return [];
    if (isAtWork(trace, processes) || differences.has(trace.owner)) return [];
    return endpoint.addresses.map(addressOf).map((address) => ({
      name: nameOfTrace(trace),
      hostInterface,
      address,
      family: familyOf(address),
      netns: sandboxPath(trace),
      hasNat:
        !brokenNat.includes(familyOf(address)) &&
        pools.some(({ cidr, natOutgoing }) => natOutgoing && contains(cidr, address)),
    }));
  });
}

async function gatherWays(cli: Cli, pods: readonly ReachPod[]): Promise<Pick<ReachFacts, "ways" | "uplinks">> {
  const asked = await lookUp(cli, [
    ...pods.map(({ address, family, hostInterface }) => ({ to: farAway[family], from: address, iif: hostInterface })),
    ...pods.map(({ address }) => ({ to: address })),
    { to: farAway[4] },
    { to: farAway[6] },
  ]);
  const at = (index: number): Lookup => asked[index] ?? { kind: "unasked" };
  const uplinks = { 4: at(pods.length * 2), 6: at(pods.length * 2 + 1) };
  // What does not find its way out would come back by the way that the node has.
  const second = pods.flatMap((pod, index): readonly (Question & { readonly index: number })[] => {
    const entry = [at(index), uplinks[pod.family]].find((one) => one.kind === "route");
    const own = at(pods.length + index);
    return [
      ...(entry?.kind === "route" ? [{ index, to: pod.address, from: farAway[pod.family], iif: entry.dev }] : []),
      ...(own.kind === "route" && own.source !== undefined ? [{ index, to: pod.address, from: own.source }] : []),
    ];
  });
  const answers = await lookUp(cli, second);
  const found = (index: number, hasIif: boolean): Lookup | undefined =>
    answers[second.findIndex((one) => one.index === index && (one.iif !== undefined) === hasIif)];
  const ways = pods.map((pod, index): Way => {
    const before = at(pods.length + index);
    const toPod = isStray(before, pod) ? before : (found(index, false) ?? before);
    return { out: at(index), toPod, back: found(index, true) ?? { kind: "unasked" }, strayRoute: undefined };
  });
  return { uplinks, ways: await nameStrays(cli, pods, ways) };
}

const matched = z.array(z.object({ dst: z.string(), protocol: z.string().optional() }));

/** A route of the main table that leads a pod's packets elsewhere is named, the first few. */
async function nameStrays(cli: Cli, pods: readonly ReachPod[], ways: readonly Way[]): Promise<readonly Way[]> {
  let left = 4;
  return Promise.all(
    ways.map(async (way, index) => {
      const pod = pods[index];
      if (pod === undefined || !isStray(way.toPod, pod) || left-- <= 0) return way;
      const argv = ["ip", "-j", `-${pod.family}`, "route", "get", "fibmatch", pod.address];
      const [route] = matched.parse(JSON.parse(await cli.program(argv)));
      if (route === undefined) return way;
      return { ...way, strayRoute: { destination: route.dst, protocol: route.protocol } };
    }),
  );
}

/** Whether it leads elsewhere than to the pod. */
export function isStray(lookup: Lookup, { hostInterface }: ReachPod): boolean {
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
  not: z.unknown().optional(),
});

async function gatherRules(cli: Cli): Promise<ReachFacts["rules"]> {
  const ofFamily = async (family: Family) => readRules(await cli.program(["ip", "-j", `-${family}`, "rule", "show"]));
  const [v4, v6] = await Promise.all([ofFamily(4), ofFamily(6)]);
  return { 4: v4, 6: v6 };
}

const ofAnything = ["priority", "src", "table", "action", "protocol"];

export function readRules(text: string): readonly IpRule[] {
  return z
    .array(rule)
    .parse(JSON.parse(text.trim() === "" ? "[]" : text))
    .map((one) => {
      const { priority, src, srclen, dst, dstlen, table, action, fwmark } = one;
      const prefix = (address: string, length: number | undefined) =>
        length === undefined ? address : `${address}/${length}`;
      const words = [
        ...("not" in one ? ["not"] : []),
        `from ${prefix(src ?? "all", srclen)}`,
        ...(dst === undefined ? [] : [`to ${prefix(dst, dstlen)}`]),
        ...(fwmark === undefined ? [] : [`fwmark ${fwmark}`]),
        ...(typeof one.iif === "string" ? [`iif ${one.iif}`] : []),
        action ?? (table === undefined ? "" : `lookup ${table}`),
      ];
      return {
        priority,
        text: words.join(" ").trim(),
        table,
        action: action !== undefined && ["blackhole", "unreachable", "prohibit"].includes(action) ? action : undefined,
        forAll: (src ?? "all") === "all" && Object.keys(one).every((key) => ofAnything.includes(key)),
        mark: fwmark,
      };
    });
}

const refusingTypes = ["blackhole", "unreachable", "prohibit"] as const;
const refusingRoutes = z.array(
  z.object({ type: z.string().optional(), dst: z.string(), table: z.string().optional() }),
);

/** A node may have many routes: it is asked only where a look-up was refused. */
async function gatherRefusing(cli: Cli, ways: readonly Way[]): Promise<ReachFacts["refusing"]> {
  const isRefused = ways.some(({ out, back, toPod }) => [out, back, toPod].some(({ kind }) => kind === "refused"));
  const ofFamily = async (family: Family) => {
    if (!isRefused) return [];
    const lists = refusingTypes.map(async (type) => {
      const text = await cli.program(["ip", "-j", `-${family}`, "route", "show", "table", "all", "type", type]);
      const routes = refusingRoutes.parse(JSON.parse(text.trim() === "" ? "[]" : text));
      return routes.map(({ dst, table = "main" }) => ({ type, destination: dst, table }));
    });
    return (await Promise.all(lists)).flat();
  };
  const [v4, v6] = await Promise.all([ofFamily(4), ofFamily(6)]);
  return { 4: v4, 6: v6 };
}

function gatherSysctls(
  { sys }: Cli,
  pods: readonly ReachPod[],
  ways: readonly Way[],
  all: readonly LinkFact[],
): ReadonlyMap<string, string> {
  const uplinks = ways.flatMap(({ out, back }) =>
    [out, back].flatMap((one) => (one.kind === "route" ? [one.dev] : [])),
  );
  const links = [...new Set([...pods.map(({ hostInterface }) => hostInterface), ...uplinks])];
  const paths = [
    "net/ipv4/ip_forward",
    "net/ipv6/conf/all/forwarding",
    ...["all", ...all.map(({ name }) => name)].map((name) => `net/ipv4/conf/${name}/rp_filter`),
    "net/netfilter/nf_conntrack_count",
    "net/netfilter/nf_conntrack_max",
    ...links.flatMap((link) => [`net/ipv4/conf/${link}/forwarding`, `net/ipv6/conf/${link}/disable_ipv6`]),
  ];
  return new Map(
    paths.flatMap((path) => {
      try {
        return [[path, sys.readFile(`/proc/sys/${path}`).trim()] as const];
      } catch (error) {
        if (isErrno(error, "ENOENT")) return [];
        throw new Error(`cannot read /proc/sys/${path}: ${messageOf(error)}`);
      }
    }),
  );
}

const link = z.object({
  ifname: z.string(),
  mtu: z.int().default(0),
  xdp: z.object({ prog: z.object({ id: z.int().optional() }).optional() }).optional(),
  addr_info: z.array(z.object({ local: z.string().optional(), prefixlen: z.int().optional() })).default([]),
});
const qdisc = z.object({ kind: z.string(), dev: z.string().optional() });

async function gatherLinks(
  cli: Cli,
  pods: readonly ReachPod[],
): Promise<{ readonly facts: readonly LinkFact[]; readonly ownAddresses: readonly string[] }> {
  const [text, qdiscs] = await Promise.all([
    cli.program(["ip", "-j", "-d", "address", "show"]),
    cli.program(["tc", "-j", "qdisc", "show"]).catch(() => "[]"),
  ]);
  const own = new Set(pods.map(({ hostInterface }) => hostInterface));
  const classified = z
    .array(qdisc)
    .parse(JSON.parse(qdiscs.trim() === "" ? "[]" : qdiscs))
    .filter(({ kind }) => kind === "clsact");
  const listed = (JSON.parse(text) as readonly object[]).filter((one) => Object.keys(one).length > 0);
  const links = z.array(link).parse(listed);
  const facts = links.map(({ ifname: name, mtu, xdp, addr_info }) => ({
    name,
    mtu,
    addresses: own.has(name) ? addr_info.flatMap(({ local, prefixlen }) => foreignAddress(local, prefixlen)) : [],
    programs: own.has(name)
      ? [
          ...(xdp === undefined ? [] : [`XDP program ${xdp.prog?.id ?? ""}`.trim()]),
          ...(classified.some(({ dev }) => dev === name) ? ["clsact"] : []),
        ]
      : [],
  }));
  const ownAddresses = links
    .filter(({ ifname }) => !own.has(ifname) && ifname !== "lo")
    .flatMap(({ addr_info }) => addr_info.flatMap(({ local = "" }) => canonicalAddress(local) ?? []));
  return { facts, ownAddresses };
}

/** The plugins give a host interface none; the kernel gives it the gateway's. */
function foreignAddress(local: string | undefined, length: number | undefined): readonly string[] {
  const address = canonicalAddress(local ?? "");
  return address === undefined || address === gateway6 || address.startsWith("fe80:") ? [] : [`${address}/${length}`];
}

/** The name of a process as the kernel has it, 15 characters, and of the program that people know. */
const managers: Readonly<Record<string, string>> = {
  dockerd: "docker",
  firewalld: "firewalld",
  NetworkManager: "NetworkManager",
  "systemd-network": "systemd-networkd",
  dhcpcd: "dhcpcd",
  connmand: "connman",
  tailscaled: "tailscale",
  "kube-proxy": "kube-proxy",
  flanneld: "flannel",
  "cilium-agent": "cilium",
  "calico-node": "Calico",
  "kube-router": "kube-router",
};

function servicesIn(processes: readonly Process[]): readonly string[] {
  return [...new Set(processes.flatMap(({ name }) => managers[name] ?? []))];
}

/** Whether a socket is bound to UDP port 53 of more than the loopback network. */
function servesDns({ sys }: Cli): boolean {
  return ["/proc/net/udp", "/proc/net/udp6"].some((path) => {
    try {
      return /^ *\d+: (?!\w*7F:)(?!0{24}01000000:)\w+:0035 /m.test(sys.readFile(path));
    } catch {
      return false;
    }
  });
}

/** Gathers the facts about the pods' packets. Changes nothing; runs a handful of programs, whatever the number of pods. */
import { setTimeout } from "node:timers/promises";
import type { Pool } from "../../../ipam/model/pool.ts";
import { type Family, familyOf } from "../../../net/address.ts";
import { addressOf, contains } from "../../../net/prefix.ts";
import { listenersAsHost } from "../../../plugin/advertisements.ts";
import type { Cli } from "../../cli.ts";
import { messageOf } from "../../error.ts";
import type { Process } from "../../node/processes.ts";
import { isAlive, isBusy, nameOfTrace, sandboxPath } from "../attachments.ts";
import type { Trace } from "../sandboxes.ts";
import {
  type LinkFact,
  noReachFacts,
  type PodRoutes,
  type ProbeFacts,
  type ReachFacts,
  type ReachPod,
} from "./facts.ts";
import { gatherChains } from "./gather-chains.ts";
import { gatherLinks, gatherNeighbours } from "./gather-links.ts";
import { gatherRefusing, gatherRules, gatherWays } from "./gather-ways.ts";
import { sendProbes } from "./probe.ts";
import { checkReach, hasUnexplainedLoss } from "./reach.ts";
import { readSysctls } from "./sysctl.ts";

export interface ReachOptions {
  readonly pools: readonly Pool[];
  readonly processes: readonly Process[];
  /** The differences that CHECK found, by owner; their attachments have findings already. */
  readonly differences: ReadonlyMap<string, unknown>;
  /** Families whose natOutgoing is known to be broken, and reported. */
  readonly brokenNat: readonly Family[];
  /** Whether packets may be sent. */
  readonly probe: boolean;
}

/** Facts that cannot be read are listed in `unseen`; the other checks still run. */
export async function gatherReach(cli: Cli, traces: readonly Trace[], options: ReachOptions): Promise<ReachFacts> {
  const pods = podsIn(traces, options);
  cli.progress.begin("looking up routes of packets");
  try {
    if (pods.length === 0) {
      // A firewall may be there for the pods to come.
      const { chains, unseen } = await gatherChains(cli);
      return { ...noReachFacts, chains, services: servicesIn(options.processes), unseen };
    }
    return await withoutDeparted(cli, await look(cli, pods, options), options);
  } catch (error) {
    return { ...noReachFacts, unseen: [`the paths of packets: ${messageOf(error)}`] };
  } finally {
    cli.progress.end();
  }
}

async function look(cli: Cli, pods: readonly ReachPod[], options: ReachOptions): Promise<ReachFacts> {
  const families = ([4, 6] as const).filter((family) => pods.some((pod) => pod.family === family));
  const [routing, { chains, hasNotrack, unseen }, rules, links, neighbours] = await Promise.all([
    gatherWays(cli, pods, families),
    gatherChains(cli),
    gatherRules(cli, families),
    gatherLinks(cli, pods),
    gatherNeighbours(cli),
  ]);
  const { ways, uplinks } = routing;
  const sendAll = (): Promise<ProbeFacts> =>
    sendProbes(
      cli,
      pods,
      ways.map(({ out }) => out),
      !hasNotrack,
    );
  const without: ReachFacts = {
    pods,
    ways,
    uplinks,
    rules,
    refusing: await gatherRefusing(cli, ways, families),
    sysctls: gatherSysctls(cli, pods, ways, links.facts),
    listeners: listenersAsHost(cli.sys),
    chains,
    links: links.facts,
    neighbours,
    ownAddresses: links.ownAddresses,
    services: servicesIn(options.processes),
    servesDns: servesDns(cli),
    probe: { unsent: "--no-probe", results: [], reversePathDrops: 0 },
    unseen,
  };
  if (!options.probe) return without;
  const first = { ...without, probe: await sendAll() };
  if (!hasUnexplainedLoss(first, options.pools)) return withFault(first);
  // A new interface passes no packets until the kernel has checked its carrier, which happens once a second.
  await setTimeout(carrierMs);
  return withFault({ ...first, probe: await sendAll() });
}

const carrierMs = 1100;

/**
 * A DEL that began after the pods were listed removes the routes first and the interface last, up to 50 ms later: a pod's problem counts only if
 * its interface still exists after a while.
 */
async function withoutDeparted(cli: Cli, facts: ReachFacts, { pools }: ReachOptions): Promise<ReachFacts> {
  if (checkReach(facts, pools).length === 0) return facts;
  await setTimeout(departureMs);
  const isThere = ({ hostInterface }: ReachPod) =>
    cli.sys.stat(`/proc/sys/net/ipv4/conf/${hostInterface}`) !== undefined;
  const stay = facts.pods.map(isThere);
  const departed = facts.pods.filter((_, index) => !stay[index]).map(({ hostInterface }) => hostInterface);
  const { results } = facts.probe;
  return {
    ...facts,
    pods: facts.pods.filter((_, index) => stay[index]),
    ways: facts.ways.filter((_, index) => stay[index]),
    links: facts.links.filter(({ name }) => !departed.includes(name)),
    probe: { ...facts.probe, results: results.filter(({ pod }) => !departed.includes(pod.hostInterface)) },
  };
}

const departureMs = 250;

function withFault(facts: ReachFacts): ReachFacts {
  const { probe, unseen } = facts;
  return probe.isFaulty ? { ...facts, unseen: [...unseen, `whether packets pass: ${probe.unsent}`] } : facts;
}

/** Complete attachments that no plugin is working on. */
function podsIn(
  traces: readonly Trace[],
  { pools, processes, differences, brokenNat }: ReachOptions,
): readonly ReachPod[] {
  return traces.flatMap((trace): readonly ReachPod[] => {
    const endpoint = trace.record?.endpoint;
    const hostInterface = trace.link?.ifname;
    if (!isAlive(trace) || endpoint === undefined || hostInterface === undefined) return [];
    if (isBusy(trace, processes) || differences.has(trace.owner)) return [];
    return endpoint.addresses.map(addressOf).map((address) => ({
      name: nameOfTrace(trace),
      hostInterface,
      ifname: trace.attachment.ifname,
      mac: macOf(trace),
      address,
      family: familyOf(address),
      netns: sandboxPath(trace),
      hasNat:
        !brokenNat.includes(familyOf(address)) &&
        pools.some(({ cidr, natOutgoing }) => natOutgoing && contains(cidr, address)),
    }));
  });
}

/** The MAC address in the sandbox: a later plugin may have changed the recorded one. */
function macOf({ peer }: Trace): string | undefined {
  return peer?.namespace.interfaces.find(({ ifname }) => ifname === peer.ifname)?.address;
}

function gatherSysctls(
  { sys }: Cli,
  pods: readonly ReachPod[],
  ways: readonly PodRoutes[],
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
  return readSysctls(sys, paths);
}

/** The name of a process in the kernel, 15 characters, and the program's name. */
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

export function servicesIn(processes: readonly Process[]): readonly string[] {
  return [...new Set(processes.flatMap(({ name }) => managers[name] ?? []))];
}

/** Whether a socket is bound to UDP port 53 on more than the loopback network. */
function servesDns({ sys }: Cli): boolean {
  return ["/proc/net/udp", "/proc/net/udp6"].some((path) => {
    try {
      return /^ *\d+: (?!\w*7F:)(?!0{24}01000000:)\w+:0035 /m.test(sys.readFile(path));
    } catch {
      return false;
    }
  });
}

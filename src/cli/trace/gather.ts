/** Reads the facts of a packet's way from this node's tables and the datastore. Changes nothing and sends no packet. */

import type { NetworkNode } from "../../cluster-network/network-node.ts";
import { resolveSettings } from "../../cluster-network/network-settings.ts";
import { outgoingOf } from "../../cluster-network/outgoing.ts";
import { listEndpoints } from "../../endpoint/endpoint.ts";
import { natTable } from "../../identity/names.ts";
import { type Family, familyOf } from "../../net/address.ts";
import { addressOf } from "../../net/prefix.ts";
import { ask, clusterNat } from "../../plugin/node-agent.ts";
import { list } from "../../store/transaction.ts";
import type { Cli } from "../cli.ts";
import { listNftTable } from "../doctor/nft.ts";
import { servicesIn } from "../doctor/reach/gather.ts";
import { gatherChains } from "../doctor/reach/gather-chains.ts";
import { gatherRules } from "../doctor/reach/gather-ways.ts";
import { readSysctls } from "../doctor/reach/sysctl.ts";
import { listProcesses } from "../node/processes.ts";
import { readStore } from "../store.ts";
import type { Link, LocalPod, PodFacts, Target, TraceFacts } from "./facts.ts";
import { gatherWay } from "./gather-way.ts";
import { lookUp, neighbourOf, readLinks, reasonOf } from "./kernel-tables.ts";
import { parseNatTable } from "./nat-table.ts";
import { readFloatingIps, redirectOf } from "./redirect.ts";
import { aimAt, type Known, localPods, readKnown, senderOf, targetAt } from "./resolve.ts";

type Links = ReadonlyMap<string, Link> | undefined;

export async function gatherTrace(cli: Cli, from: string, to: string): Promise<TraceFacts> {
  const known = await readStore(cli, readKnown());
  const pods = localPods(listEndpoints(cli.sys));
  const senders = senderOf(from, pods, known, cli.node);
  const families = senders.map((one) => familyOf(one.address));
  const aim = aimAt(to, families, pods, known);
  const family = familyOf(aim.address);
  const source = senders.find((one) => familyOf(one.address) === family) ?? senders[0];
  const unread = new Unread();
  const links: Links = await unread.whileReading("interfaces", readLinks(cli, []));
  const own = known.nodes.find(({ name }) => name === cli.node);
  const addresses = links === undefined ? addressesOf(own) : [...links.values()].flatMap((link) => link.addresses);
  const settings = await gatherSettings(cli, known, unread);
  const isFloating = settings.settings?.floatingIPs === "Enabled";
  const floating = isFloating
    ? await unread.whileReading("floating IPs", readStore(cli, readFloatingIps()))
    : undefined;
  const redirect = await redirectOf(cli, aim, addresses, floating ?? new Map());
  const address = redirect?.to ?? aim.address;
  const pod = pods.find((one) => one.address === address);
  const target: Target =
    pod === undefined ? targetAt(address, known, addresses, cli.node) : await localTarget(cli, pod, source.address);
  const rules = (await unread.whileReading("policy rules", gatherRules(cli, [family])))?.[family];
  const way = await gatherWay(cli, { source, target, own, links, rules });
  return {
    ...{ node: cli.node, family, source, target, links, own, redirect, rules, pools: known.pools, ...way },
    sender: await lookIntoPod(cli, source, aim.address),
    ...(await gatherFirewall(cli, family, unread)),
    ...settings,
    // A host port leads to another port of the pod.
    port: redirect?.what === "host port" && redirect.to !== undefined ? undefined : aim.port,
    sysctls: readSwitches(cli, [source, ...(pod === undefined ? [] : [pod])], [way.uplink?.dev, way.tunnel?.device]),
    services: servicesIn(listProcesses(cli.sys)),
    unread: unread.reasons,
  };
}

/** What could not be read, and why: the steps that need it stay open. */
class Unread {
  readonly reasons: string[] = [];

  async whileReading<T>(what: string, reading: Promise<T>): Promise<T | undefined> {
    try {
      return await reading;
    } catch (error) {
      this.reasons.push(`${what}: ${reasonOf(error)}`);
      return undefined;
    }
  }
}

async function gatherFirewall(
  cli: Cli,
  family: Family,
  unread: Unread,
): Promise<Pick<TraceFacts, "chains" | "hasUnreadRules" | "natTable">> {
  const found = await unread.whileReading("rules of the firewall", gatherChains(cli));
  unread.reasons.push(...(found?.unseen ?? []));
  const table = listNftTable(cli, `${family === 4 ? "ip" : "ip6"} ${natTable}`);
  return {
    chains: found?.chains ?? [],
    hasUnreadRules: found === undefined || found.unseen.length > 0,
    natTable: await table.then(
      (text) => (text === undefined ? "missing" : parseNatTable(text)),
      () => undefined,
    ),
  };
}

function addressesOf(node: NetworkNode | undefined): readonly string[] {
  return Object.values(node?.addresses ?? {}).map(addressOf);
}

type Settings = Pick<TraceFacts, "settings" | "outgoing" | "networking">;

async function gatherSettings(cli: Cli, { nodes }: Known, unread: Unread): Promise<Settings> {
  const reading = readStore(cli, list("FelixConfiguration"));
  const objects = await unread.whileReading("FelixConfiguration", reading);
  const settings = objects && resolveSettings({}, objects, cli.node);
  const byName = new Map(nodes.map((one) => [one.name, one]));
  const ofDatastore = settings && outgoingOf({ settings, nodes: byName });
  return { settings, outgoing: ofDatastore, networking: undefined, ...(cli.cluster && askAgent(cli)) };
}

const patienceMs = 2000;

/** Its own settings go before the datastore's. Nothing if it does not answer. */
function askAgent({ sys, node: nodename }: Cli): Partial<Settings> {
  try {
    const { networking } = ask(sys, { op: "node", nodename }, patienceMs).node ?? {};
    const { outgoing } = clusterNat(ask(sys, { op: "pools", nodename }, patienceMs));
    return { networking, outgoing };
  } catch {
    return {};
  }
}

async function localTarget(cli: Cli, pod: LocalPod, from: string): Promise<Target> {
  const { address, hostInterface } = pod;
  return {
    ...{ kind: "local pod", address, pod },
    receiver: await lookIntoPod(cli, pod, from),
    neighbour: await neighbourOf(cli, [], address, hostInterface),
  };
}

async function lookIntoPod(cli: Cli, { netns, ifname }: LocalPod, target: string): Promise<PodFacts> {
  const enter = ["nsenter", `--net=${netns}`, "--"];
  try {
    const link = (await readLinks(cli, enter)).get(ifname);
    const route = await lookUp(cli, enter, familyOf(target), [target]);
    const gateway = route.kind === "route" ? route.gateway : undefined;
    return {
      ...{ link, route },
      gateway: gateway === undefined ? { kind: "missing" } : await neighbourOf(cli, enter, gateway, ifname),
    };
  } catch (error) {
    const nothing: PodFacts = { link: undefined, route: { kind: "unasked" }, gateway: { kind: "missing" } };
    return cli.sys.stat(netns) === undefined ? nothing : { ...nothing, unread: reasonOf(error) };
  }
}

/** `ways`: interfaces by which packets leave the node. */
function readSwitches(
  { sys }: Cli,
  pods: readonly LocalPod[],
  ways: readonly (string | undefined)[],
): ReadonlyMap<string, string> {
  const hostInterfaces = pods.map(({ hostInterface }) => hostInterface);
  const all = [...hostInterfaces, ...ways.flatMap((name) => name ?? [])];
  return readSysctls(sys, [
    ...["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding", "net/ipv4/conf/all/rp_filter"],
    ...hostInterfaces.flatMap((link) => [`net/ipv6/conf/${link}/forwarding`, `net/ipv4/conf/${link}/proxy_arp`]),
    ...all.flatMap((link) => [`net/ipv4/conf/${link}/rp_filter`, `net/ipv4/conf/${link}/forwarding`]),
  ]);
}

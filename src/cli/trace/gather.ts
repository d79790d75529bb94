/** Reads the facts of a packet's way from this node's tables and the datastore. Changes nothing and sends no packet. */
import * as z from "zod";
import { listEndpoints } from "../../endpoint/endpoint.ts";
import { ipipDevice, natTable, vxlanDevices } from "../../identity/names.ts";
import { canonicalAddress, type Family, familyOf, type TableFamily, tableFamilyOf } from "../../net/address.ts";
import { addressOf } from "../../net/prefix.ts";
import type { Cli } from "../cli.ts";
import { listNftTable } from "../doctor/nft.ts";
import { gatherChains } from "../doctor/reach/gather-chains.ts";
import { readSysctls } from "../doctor/reach/sysctl.ts";
import { messageOf } from "../error.ts";
import { ipList } from "../node/iproute.ts";
import { readStore } from "../store.ts";
import type { Link, LocalPod, Lookup, PodFacts, Target, TraceFacts, Tunnel } from "./facts.ts";
import { aimAt, localPods, readKnown, senderOf, targetAt } from "./resolve.ts";

export async function gatherTrace(cli: Cli, from: string, to: string): Promise<TraceFacts> {
  const known = await readStore(cli, readKnown());
  const pods = localPods(listEndpoints(cli.sys));
  const senders = senderOf(from, pods, known, cli.node);
  const { address, pod } = aimAt(
    to,
    senders.map((one) => familyOf(one.address)),
    pods,
    known,
  );
  const family = familyOf(address);
  const source = senders.find((one) => familyOf(one.address) === family) ?? senders[0];
  const { found, links, addresses } = await gatherLinks(cli, []);
  const sender = await lookIntoPod(cli, source, address);
  const target: Target =
    pod === undefined
      ? targetAt(address, known, addresses, cli.node)
      : { kind: "local pod", address, pod, receiver: await lookIntoPod(cli, pod, source.address) };
  const route = await lookUp(cli, [], family, [address, "from", source.address, "iif", source.hostInterface]);
  const back = route.kind === "route" && target.kind !== "this node" ? route.dev : undefined;
  const reply: Lookup =
    back === undefined
      ? { kind: "unasked" }
      : await lookUp(cli, [], family, [source.address, "from", address, "iif", back]);
  const { chains, unseen } = await gatherChains(cli);
  return {
    ...{ node: cli.node, family, source, target, sender, route, reply, links, chains, pools: known.pools },
    sysctls: gatherSysctls(cli, [source.hostInterface, ...(pod === undefined ? [] : [pod.hostInterface])]),
    natTable: await readTable(cli, tableFamilyOf(address)),
    own: known.nodes.find(({ name }) => name === cli.node),
    tunnel: route.kind === "route" ? await gatherTunnel(cli, found, route, target) : undefined,
    unread: unseen,
  };
}

const linkSchema = z.object({
  ifname: z.string(),
  mtu: z.int().default(0),
  address: z.string().optional(),
  flags: z.array(z.string()).default([]),
  addr_info: z.array(z.object({ local: z.string().optional() })).default([]),
  linkinfo: z
    .object({
      info_data: z.object({ id: z.int().optional(), port: z.int().optional(), link: z.string().optional() }).optional(),
    })
    .optional(),
});

type IpLink = z.infer<typeof linkSchema>;

async function gatherLinks(cli: Cli, enter: readonly string[]) {
  const listed = await listOf(cli, [...enter, "ip", "-j", "-d", "address", "show"]);
  const found = listed.flatMap((one) => linkSchema.safeParse(one).data ?? []);
  const linkOf = ({ ifname: name, mtu, address: mac, flags }: IpLink): Link => ({
    ...{ name, mtu, mac },
    isUp: flags.includes("UP"),
    hasCarrier: !flags.includes("NO-CARRIER"),
  });
  return {
    found,
    links: new Map(found.map((one) => [one.ifname, linkOf(one)])),
    addresses: found.flatMap(({ addr_info }) => addr_info.flatMap(({ local = "" }) => canonicalAddress(local) ?? [])),
  };
}

async function listOf(cli: Cli, argv: readonly string[]): Promise<readonly object[]> {
  return ipList(await cli.program(argv));
}

async function lookIntoPod(cli: Cli, { netns, ifname }: LocalPod, target: string): Promise<PodFacts> {
  const enter = ["nsenter", `--net=${netns}`, "--"];
  const family = familyOf(target);
  try {
    const { links, found } = await gatherLinks(cli, enter);
    const route = await lookUp(cli, enter, family, [target]);
    const gateway = route.kind === "route" ? route.gateway : undefined;
    const addresses = found
      .filter((one) => one.ifname === ifname)
      .flatMap(({ addr_info }) => addr_info.flatMap(({ local = "" }) => canonicalAddress(local) ?? []));
    return {
      ...{ link: links.get(ifname), addresses, route },
      gatewayMac: gateway === undefined ? undefined : await neighbourOf(cli, enter, gateway, ifname),
    };
  } catch (error) {
    const nothing: PodFacts = { link: undefined, addresses: [], route: { kind: "unasked" }, gatewayMac: undefined };
    return cli.sys.stat(netns) === undefined ? nothing : { ...nothing, unread: messageOf(error) };
  }
}

const answer = z.object({
  dst: z.string().optional(),
  dev: z.string().optional(),
  gateway: z.string().optional(),
  via: z.object({ host: z.string() }).optional(),
});

/** The kernel's route, and which entry of its tables it is. */
async function lookUp(cli: Cli, enter: readonly string[], family: Family, words: readonly string[]): Promise<Lookup> {
  const ask = async (how: readonly string[]) => {
    const argv = [...enter, "ip", "-j", `-${family}`, "route", "get", ...how, ...words];
    return await cli.execute(argv, { env: {}, stdin: "", timeoutMs: 10_000 });
  };
  const { status, stdout, stderr } = await ask([]);
  if (status !== 0) return { kind: "refused", reason: reasonIn(stderr) };
  const [route] = z.array(answer).parse(JSON.parse(stdout));
  if (route?.dev === undefined) return { kind: "refused", reason: "the route refuses packets" };
  const matched = await ask(["fibmatch"]);
  const [match] = matched.status === 0 ? z.array(answer).parse(JSON.parse(matched.stdout)) : [];
  return { kind: "route", dev: route.dev, gateway: route.gateway ?? route.via?.host, via: match?.dst };
}

/** `RTNETLINK answers: No route to host` */
function reasonIn(stderr: string): string {
  const line = stderr.split("\n").find((one) => one.trim() !== "") ?? "";
  return line.replace(/^(RTNETLINK answers|Error): /, "").trim() || "ip says no reason";
}

async function neighbourOf(
  cli: Cli,
  enter: readonly string[],
  address: string,
  dev: string,
): Promise<string | undefined> {
  const entries = await listOf(cli, [...enter, "ip", "-j", "neighbour", "show", address, "dev", dev]);
  return entries.flatMap((one) => z.object({ lladdr: z.string() }).safeParse(one).data?.lladdr ?? [])[0];
}

function gatherSysctls({ sys }: Cli, hostInterfaces: readonly string[]): ReadonlyMap<string, string> {
  const paths = [
    ...["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"],
    ...hostInterfaces.flatMap((link) => [
      ...["ipv4", "ipv6"].map((family) => `net/${family}/conf/${link}/forwarding`),
      `net/ipv4/conf/${link}/proxy_arp`,
    ]),
  ];
  return readSysctls(sys, paths);
}

/** Empty if it is missing; `undefined` if it cannot be read. */
async function readTable(cli: Cli, family: TableFamily): Promise<string | undefined> {
  try {
    return (await listNftTable(cli, `${family} ${natTable}`)) ?? "";
  } catch {
    return undefined;
  }
}

async function gatherTunnel(
  cli: Cli,
  found: readonly IpLink[],
  route: Extract<Lookup, { kind: "route" }>,
  target: Target,
): Promise<Tunnel | undefined> {
  const family = familyOf(target.address);
  const kind = route.dev === ipipDevice ? "ipip" : route.dev === vxlanDevices[family] ? "vxlan" : undefined;
  if (kind === undefined) return undefined;
  const data = found.find(({ ifname }) => ifname === route.dev)?.linkinfo?.info_data;
  const mac =
    kind === "ipip" || route.gateway === undefined ? undefined : await neighbourOf(cli, [], route.gateway, route.dev);
  const far = target.kind === "far pod" || target.kind === "far node" ? target.on.addresses[family] : undefined;
  return {
    ...{ kind, device: route.dev, vni: data?.id, port: data?.port, below: data?.link, neighbourMac: mac },
    forwardsTo: mac === undefined ? undefined : await forwardedTo(cli, route.dev, mac),
    outer: far === undefined ? { kind: "unasked" } : await lookUp(cli, [], family, [addressOf(far)]),
  };
}

async function forwardedTo(cli: Cli, dev: string, mac: string): Promise<string | undefined> {
  const entries = await listOf(cli, ["bridge", "-j", "fdb", "show", "dev", dev]);
  const known = entries.flatMap((one) => z.object({ mac: z.string(), dst: z.string() }).safeParse(one).data ?? []);
  const dst = known.find((one) => one.mac === mac)?.dst;
  return dst === undefined ? undefined : (canonicalAddress(dst) ?? dst);
}

/** Reads the facts about tunnels to other nodes. Changes nothing; what cannot be read counts as unknown, and gives no finding. */
import * as z from "zod";
import { hostInterfacePrefix, ipipDevice, vxlanDevices } from "../../../identity/names.ts";
import { canonicalAddress, familyOf } from "../../../net/address.ts";
import { canonicalPrefix, maskPrefix } from "../../../net/prefix.ts";
import type { Cli } from "../../cli.ts";
import { ipList } from "../../node/iproute.ts";
import { noTunnels, type PeerFact, type TunnelFact, type TunnelFacts } from "./facts.ts";

export interface TunnelOptions {
  /** Programs that run and manage networks. */
  readonly services: readonly string[];
  /** Whether packets may be sent. */
  readonly probe: boolean;
}

const linkSchema = z.object({
  ifname: z.string(),
  mtu: z.int(),
  flags: z.array(z.string()).default([]),
  linkinfo: z
    .object({
      info_kind: z.string().optional(),
      info_data: z
        .object({
          link: z.string().optional(),
          local: z.string().optional(),
          local6: z.string().optional(),
          port: z.int().optional(),
        })
        .optional(),
    })
    .optional(),
});
type IpLink = z.infer<typeof linkSchema>;
const fdbSchema = z.array(z.object({ dst: z.string().optional() }));
const routeSchema = z.array(z.object({ dev: z.string().optional() }));

/** A few are enough: the faults are those of this node, or of the network around it. */
const maxPeers = 3;

export async function gatherTunnels(cli: Cli, { services, probe }: TunnelOptions): Promise<TunnelFacts> {
  const text = await printed(cli, ["ip", "-j", "-d", "link", "show"]);
  const links = ipList(text).flatMap((one) => linkSchema.safeParse(one).data ?? []);
  const devices = links.flatMap((link) => deviceOf(link, links) ?? []);
  if (devices.length === 0) return noTunnels;
  const [peers, managed, clusterCidrs] = await Promise.all([
    Promise.all(devices.map((device) => peersOf(cli, device, probe))),
    services.includes("NetworkManager") ? gatherManaged(cli) : [],
    services.includes("kube-proxy") ? gatherClusterCidrs(cli) : [],
  ]);
  return {
    devices,
    mtus: new Map(links.map(({ ifname, mtu }) => [ifname, mtu])),
    peers: peers.flat(),
    managed,
    strict: [...new Set(devices.flatMap(({ underlay }) => underlay?.link ?? []))].filter((link) => isStrict(cli, link)),
    clusterCidrs,
  };
}

/** The output of a program; empty if it fails or is missing. */
async function printed(cli: Cli, argv: readonly string[]): Promise<string> {
  try {
    return await cli.program(argv);
  } catch {
    return "";
  }
}

function deviceOf({ ifname: name, mtu, flags, linkinfo }: IpLink, links: readonly IpLink[]): TunnelFact | undefined {
  if (!flags.includes("UP")) return undefined;
  if (name === ipipDevice && linkinfo?.info_kind === "ipip")
    return { name, kind: "ipip", family: 4, mtu, underlay: undefined };
  const family = name === vxlanDevices[4] ? 4 : name === vxlanDevices[6] ? 6 : undefined;
  if (family === undefined || linkinfo?.info_kind !== "vxlan") return undefined;
  const { link = "", local, local6, port = 0 } = linkinfo.info_data ?? {};
  const address = canonicalAddress(local ?? local6 ?? "");
  const below = links.find(({ ifname }) => ifname === link);
  const isWhole = address !== undefined && below !== undefined;
  const underlay = isWhole ? { address, link, mtu: below.mtu, port } : undefined;
  return { name, kind: "vxlan", family, mtu, underlay };
}

async function peersOf(cli: Cli, device: TunnelFact, probe: boolean): Promise<readonly PeerFact[]> {
  const { underlay, name } = device;
  if (underlay === undefined) return [];
  const entries = fdbSchema.safeParse(
    JSON.parse((await printed(cli, ["bridge", "-j", "fdb", "show", "dev", name])) || "[]"),
  );
  const addresses = (entries.data ?? []).flatMap(({ dst = "" }) => canonicalAddress(dst) ?? []);
  const some = [...new Set(addresses)].slice(0, maxPeers);
  return await Promise.all(some.map((address) => peerOf(cli, device, underlay, address, probe)));
}

type Underlay = NonNullable<TunnelFact["underlay"]>;

async function peerOf(
  cli: Cli,
  { name: device }: TunnelFact,
  underlay: Underlay,
  address: string,
  probe: boolean,
): Promise<PeerFact> {
  const [route] = await routesOf(cli, ["route", "get", address, "from", underlay.address]);
  const isElsewhere = route?.dev !== undefined && route.dev !== underlay.link;
  const version = familyOf(address) === 4 ? "-4" : "-6";
  const own = isElsewhere
    ? await routesOf(cli, [version, "route", "show", "to", "match", address, "dev", underlay.link])
    : [];
  const answers = probe && route !== undefined && !isElsewhere ? await pingBoth(cli, address, underlay.mtu) : undefined;
  return { address, device, link: route?.dev, hasOwnRoute: !isElsewhere || own.length > 0, answers };
}

async function routesOf(cli: Cli, words: readonly string[]): Promise<z.infer<typeof routeSchema>> {
  return routeSchema.safeParse(JSON.parse((await printed(cli, ["ip", "-j", ...words])) || "[]")).data ?? [];
}

/** IP and ICMP headers. */
const pingHeader = { 4: 28, 6: 48 } as const;

async function pingBoth(cli: Cli, address: string, mtu: number): Promise<PeerFact["answers"]> {
  const ping = async (bytes: number) => {
    const argv = ["ping", "-n", "-q", "-c", "2", "-i", "0.2", "-W", "1", "-M", "do", "-s", `${bytes}`, address];
    return / 0 received|^$/.test(await printedEvenIfFailed(cli, argv)) === false;
  };
  const small = await ping(16);
  return { small, full: small && (await ping(mtu - pingHeader[familyOf(address)])) };
}

async function printedEvenIfFailed(cli: Cli, argv: readonly string[]): Promise<string> {
  try {
    return (await cli.execute(argv, { env: {}, stdin: "", timeoutMs: 10_000 })).stdout;
  } catch {
    return "";
  }
}

/** Those that it configures: not `unmanaged`, nor what it only watches (`connected (externally)`). */
async function gatherManaged(cli: Cli): Promise<TunnelFacts["managed"]> {
  const text = await printed(cli, ["nmcli", "--terse", "--fields", "DEVICE,STATE", "device"]);
  const tunnels: readonly string[] = [...Object.values(vxlanDevices), ipipDevice];
  return text.split("\n").flatMap((line) => {
    const [name = "", state = ""] = line.split(":");
    const isOurs = tunnels.includes(name) || name.startsWith(hostInterfacePrefix);
    return isOurs && /^(connected$|connecting|disconnected|deactivating)/.test(state) ? [{ name, state }] : [];
  });
}

function isStrict({ sys }: Cli, link: string): boolean {
  const filterOf = (name: string) => {
    try {
      return Number(sys.readFile(`/proc/sys/net/ipv4/conf/${name}/rp_filter`));
    } catch {
      return 0;
    }
  };
  return Math.max(filterOf("all"), filterOf(link)) === 1;
}

/** Its rules say it in each mode: packets to a service from elsewhere are marked. */
async function gatherClusterCidrs(cli: Cli): Promise<readonly string[]> {
  const texts = await Promise.all([
    printed(cli, ["iptables-save", "-t", "nat"]),
    printed(cli, ["ip6tables-save", "-t", "nat"]),
    printed(cli, ["nft", "list", "table", "ip", "kube-proxy"]),
    printed(cli, ["nft", "list", "table", "ip6", "kube-proxy"]),
  ]);
  return clusterCidrsIn(texts.join("\n"));
}

export function clusterCidrsIn(rules: string): readonly string[] {
  const found = rules.split("\n").flatMap((line) => {
    const isMark = line.includes("-j KUBE-MARK-MASQ") || line.includes("jump mark-for-masquerade");
    const [, range = ""] = (isMark && / (?:! -s|saddr !=) (\S+) /.exec(`${line} `)) || [];
    const prefix = canonicalPrefix(range);
    return prefix === undefined ? [] : [maskPrefix(prefix)];
  });
  return [...new Set(found)];
}

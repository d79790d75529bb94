/**
 * Gathers what is visible of the node's sandboxes: endpoint records, links with an owner, and every address on an interface.
 *
 * **An address is in use wherever it is seen**: in a namespace below /run/netns, in one that an endpoint record names or that a process is in,
 * on the node itself, or as the destination of a host route. This includes addresses that foreign plugins use.
 */
import { descriptors } from "#plugins/descriptors";
import { parseArgs } from "../../cni/args.ts";
import { podOf } from "../../cni/pod.ts";
import { listEndpoints } from "../../endpoint/endpoint.ts";
import { listParts } from "../../endpoint/part.ts";
import { isErrno } from "../../host/sys.ts";
import { ownerOf } from "../../identity/attachment.ts";
import { ownerPrefix } from "../../identity/names.ts";
import type { SeenAddress, SeenEndpoint, SeenLink } from "../../ipam/check/report.ts";
import { canonicalAddress } from "../../net/address.ts";
import { addressOf } from "../../net/prefix.ts";
import type { Cli } from "../cli.ts";
import { failed } from "../error.ts";
import { mapAtOnce } from "./at-once.ts";
import {
  type IpAddresses,
  type IpInterface,
  type IpLink,
  type IpRoute,
  ipAddresses,
  ipLinks,
  ipRoutes,
} from "./iproute.ts";
import { listProcesses, type Process } from "./processes.ts";
import { namespaceAt, type SandboxLookup, type SandboxRef, sandboxLookup } from "./sandbox-lookup.ts";

export interface Facts {
  readonly endpoints: readonly EndpointFact[];
  /** Whether there are sandboxes that cannot be entered from here. */
  readonly hasUnseen: boolean;
  readonly sight: SandboxLookup;
  readonly links: readonly SeenLink[];
  readonly seen: readonly SeenAddress[];
  /** Every link of the node's own namespace. */
  readonly hostLinks: readonly IpLink[];
  /** Every other namespace that has a name or a process. */
  readonly namespaces: readonly SeenNamespace[];
  readonly processes: readonly Process[];
}

export interface SeenNamespace {
  readonly path: string;
  readonly inode: number;
  /** The process in the namespace's path, if it has no other name. */
  readonly holder: Pick<Process, "pid" | "name"> | undefined;
  readonly interfaces: IpAddresses;
}

/** The name prefixes of our plugins' links on the host. */
const hostInterfaces = descriptors.flatMap(({ traces }) => traces.hostInterfaces);
const devices = descriptors.flatMap(({ traces }) => traces.devices);

/** Where `ip netns` and the runtimes keep namespaces. */
const netnsDirectories = ["/run/netns", "/var/run/netns"];

/** Throws `CliError` if the node's own namespace cannot be read. */
export async function gatherFacts(cli: Cli): Promise<Facts> {
  const processes = listProcesses(cli.sys);
  const sight = sandboxLookup(cli.sys, processes);
  const endpoints = seenEndpoints(cli, sight);
  const [links, addresses, routes4, routes6] = await Promise.all([
    ip(cli, ["link", "show"], ipLinks),
    ip(cli, ["address", "show"], ipAddresses),
    ip(cli, ["-4", "route", "show"], ipRoutes),
    ip(cli, ["-6", "route", "show"], ipRoutes),
  ]);
  const namespaces = await lookInside(cli, namespacesOf(cli, endpoints, processes));
  const isPaired = (link: IpLink) => !isOurs(link) || peerOf(link, namespaces) !== undefined;
  return {
    endpoints,
    hasUnseen: endpoints.some(({ sandbox }) => sandbox === "unseen") || !links.every(isPaired),
    sight,
    links: links.flatMap(ownedLink),
    seen: [
      ...seenOn(addresses, "on the node"),
      ...[...routes4, ...routes6].flatMap(seenByRoute),
      ...namespaces.flatMap((namespace) => seenOn(namespace.interfaces, `in ${describeNamespace(namespace)}`)),
    ],
    hostLinks: links,
    namespaces,
    processes,
  };
}

/** `"/run/netns/web"`, `the namespace of process 812 (nginx)`. */
export function describeNamespace({ path, holder }: Pick<SeenNamespace, "path" | "holder">): string {
  return holder === undefined ? `"${path}"` : `the namespace of process ${holder.pid} (${holder.name})`;
}

/** For an attachment of a foreign main plugin, the parts of our chained plugins name the sandbox. */
function seenEndpoints(cli: Cli, sight: SandboxLookup): readonly EndpointFact[] {
  const seen = (ref: SandboxRef) => {
    const path = sight.pathOf(ref);
    const inode = path === undefined ? undefined : namespaceAt(cli.sys, path);
    return { netns: ref.netns, sandbox: sight.sandboxOf(ref), path, inode };
  };
  const own = listEndpoints(cli.sys).map(({ attachment, pod, hostInterface, addresses, netns, origin }) => ({
    attachment,
    pod,
    hostInterface,
    addresses: addresses.map(addressOf),
    ...seen({ netns, origin }),
  }));
  const known = new Set(own.map(({ attachment }) => ownerOf(attachment)));
  const others = new Map(listParts(cli.sys).map((part) => [ownerOf(part.attachment), part]));
  const parts = [...others].filter(([owner]) => !known.has(owner));
  return [
    ...own,
    ...parts.map(([, { attachment, args, ...ref }]) => ({
      attachment,
      pod: podOf(parseArgs(args)),
      hostInterface: "",
      addresses: [],
      ...seen(ref),
    })),
  ];
}

export interface EndpointFact extends SeenEndpoint {
  /** The sandbox's path from here, and the inode of its namespace. */
  readonly path: string | undefined;
  readonly inode: number | undefined;
}

/** A host interface with its peer in another namespace. **While it exists, so does the peer**: the kernel deletes both together. */
function isOurs({ ifalias, link_index }: IpLink): boolean {
  return ifalias?.startsWith(ownerPrefix) === true && Boolean(link_index);
}

/** The peer, if it is visible. Both ends of a veth have each other's index. */
export function peerOf(
  { ifindex, link_index }: IpLink,
  namespaces: readonly SeenNamespace[],
): { readonly namespace: SeenNamespace; readonly ifname: string } | undefined {
  for (const namespace of namespaces) {
    const end = namespace.interfaces.find((one) => one.ifindex === link_index && one.link_index === ifindex);
    if (end !== undefined && ifindex !== undefined) return { namespace, ifname: end.ifname };
  }
  return undefined;
}

type Namespace = Omit<SeenNamespace, "interfaces">;

/** Each namespace once: /var/run is usually a link to /run. */
function namespacesOf(
  cli: Cli,
  endpoints: readonly EndpointFact[],
  processes: readonly Process[],
): readonly Namespace[] {
  const byInode = new Map<number, Namespace>();
  const names = netnsDirectories.flatMap((directory) => filesIn(cli, directory).map((name) => `${directory}/${name}`));
  const ref = endpoints.flatMap(({ path, sandbox }) => (sandbox === "there" ? (path ?? []) : []));
  for (const path of [...names, ...ref]) {
    const inode = namespaceAt(cli.sys, path);
    if (inode !== undefined && !byInode.has(inode)) byInode.set(inode, { path, inode, holder: undefined });
  }
  const own = cli.sys.ownNetns().inode;
  for (const { pid, name, netns: inode } of processes) {
    if (inode === undefined || inode === own || byInode.has(inode)) continue;
    byInode.set(inode, { path: `/proc/${pid}/ns/net`, inode, holder: { pid, name } });
  }
  return [...byInode.values()];
}

function filesIn({ sys }: Cli, directory: string): readonly string[] {
  try {
    return [...sys.listDir(directory)].sort();
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return [];
    throw error;
  }
}

async function lookInside(cli: Cli, namespaces: readonly Namespace[]): Promise<readonly SeenNamespace[]> {
  cli.progress.begin("looking into namespaces", namespaces.length);
  const seen = await mapAtOnce(namespaces, (namespace) => lookIntoOne(cli, namespace));
  cli.progress.end();
  return seen.flat();
}

/** A namespace that vanished meanwhile has no addresses; one that exists but cannot be entered is an error, because it may have any. */
async function lookIntoOne(cli: Cli, namespace: Namespace): Promise<readonly SeenNamespace[]> {
  cli.progress.tick();
  const { path, inode } = namespace;
  const directory = netnsDirectories.find((known) => path.startsWith(`${known}/`));
  const enter =
    directory === undefined ? ["nsenter", `--net=${path}`, "ip"] : ["ip", "-n", path.slice(directory.length + 1)];
  try {
    return [{ ...namespace, interfaces: ipAddresses(await cli.program([...enter, "-j", "address", "show"])) }];
  } catch (error) {
    if (namespaceAt(cli.sys, path) !== inode) return [];
    const what = namespace.holder === undefined ? `the namespace "${path}"` : describeNamespace(namespace);
    throw failed(`cannot look into ${what}`, error);
  }
}

async function ip<T>(cli: Cli, args: readonly string[], parse: (text: string) => T): Promise<T> {
  try {
    return parse(await cli.program(["ip", "-j", ...args]));
  } catch (error) {
    throw failed(`cannot look at the node's interfaces`, error);
  }
}

/** Excludes ifbs: they have an owner, but outlive the sandbox. */
function ownedLink({ ifname, ifalias }: IpLink): readonly SeenLink[] {
  if (devices.some((prefix) => ifname.startsWith(prefix))) return [];
  return ifalias?.startsWith(ownerPrefix) ? [{ name: ifname, owner: ifalias }] : [];
}

function seenOn(links: IpAddresses, place: string): readonly SeenAddress[] {
  return links.flatMap((one) =>
    globalAddresses(one).map(({ address }) => ({ address, where: `${one.ifname} ${place}` })),
  );
}

/** The addresses of an interface that other hosts can reach. */
export function globalAddresses({ addr_info }: IpInterface): readonly { readonly address: string }[] {
  return addr_info.flatMap(({ local, scope }) => {
    const address = local === undefined || scope !== "global" ? undefined : canonicalAddress(local);
    return address === undefined ? [] : [{ address }];
  });
}

/** A route to one address through a host interface of ours: the sandbox behind it has the address. */
function seenByRoute({ dst, dev }: IpRoute): readonly SeenAddress[] {
  if (dev === undefined || !hostInterfaces.some((prefix) => dev.startsWith(prefix))) return [];
  const address = canonicalAddress(dst.replace(/\/(32|128)$/, ""));
  return address === undefined ? [] : [{ address, where: `the route to ${dev}` }];
}

/**
 * What the node shows of its sandboxes: endpoints' records, links with an owner, and every address that is really on an interface.
 *
 * **Evidence from everywhere**: an address counts as in use wherever it is seen, in a namespace below /run/netns, in one that an endpoint's
 * record names, on the node itself, or as the target of a host route. So a plugin other than ours may be the one that uses it.
 */
import { listEndpoints } from "../endpoint/endpoint.ts";
import { isErrno } from "../host/sys.ts";
import type { SeenAddress, SeenEndpoint, SeenLink } from "../ipam/check.ts";
import { canonicalAddress } from "../net/address.ts";
import { addressOf } from "../net/prefix.ts";
import { hostInterfacePrefix, ownerPrefix } from "../plan/names.ts";
import type { Cli } from "./cli.ts";
import { CliError, messageOf } from "./error.ts";
import { type IpAddresses, type IpLink, type IpRoute, ipAddresses, ipLinks, ipRoutes } from "./iproute.ts";

export interface Facts {
  readonly endpoints: readonly SeenEndpoint[];
  readonly links: readonly SeenLink[];
  readonly seen: readonly SeenAddress[];
}

/** Where `ip netns` and the runtimes keep namespaces. */
const netnsFolders = ["/run/netns", "/var/run/netns"];
/** Programs that run at once. */
const atOnce = 8;

/** Throws `CliError` when the node itself cannot be looked at. */
export async function gatherFacts(cli: Cli): Promise<Facts> {
  const endpoints = seenEndpoints(cli);
  const [links, addresses, routes4, routes6] = await Promise.all([
    ip(cli, ["link", "show"], ipLinks),
    ip(cli, ["address", "show"], ipAddresses),
    ip(cli, ["-4", "route", "show"], ipRoutes),
    ip(cli, ["-6", "route", "show"], ipRoutes),
  ]);
  const paths = new Set([...namespacePaths(cli), ...endpoints.flatMap((one) => (one.netnsExists ? [one.netns] : []))]);
  return {
    endpoints,
    links: links.flatMap(ownedLink),
    seen: [
      ...seenOn(addresses, "on the node"),
      ...[...routes4, ...routes6].flatMap(seenByRoute),
      ...(await seenInside(cli, [...paths])),
    ],
  };
}

function seenEndpoints(cli: Cli): readonly SeenEndpoint[] {
  return listEndpoints(cli.sys).map(({ attachment, pod, hostInterface, addresses, netns }) => ({
    attachment,
    pod,
    hostInterface,
    addresses: addresses.map(addressOf),
    netns,
    netnsExists: isNamespace(cli, netns),
  }));
}

/** A file of another file system is what is left when a namespace was unmounted. */
function isNamespace({ sys }: Cli, path: string): boolean {
  const stat = path === "" ? undefined : sys.stat(path);
  return stat !== undefined && stat.device === sys.ownNetns().device;
}

/** /var/run is mostly a link to /run: a namespace is looked at once. */
function namespacePaths(cli: Cli): readonly string[] {
  const byInode = new Map<number, string>();
  for (const folder of netnsFolders) {
    for (const name of filesIn(cli, folder)) {
      const path = `${folder}/${name}`;
      const inode = cli.sys.stat(path)?.inode;
      if (inode !== undefined && !byInode.has(inode) && isNamespace(cli, path)) byInode.set(inode, path);
    }
  }
  return [...byInode.values()];
}

function filesIn({ sys }: Cli, folder: string): readonly string[] {
  try {
    return [...sys.listDir(folder)].sort();
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return [];
    throw error;
  }
}

async function seenInside(cli: Cli, paths: readonly string[]): Promise<readonly SeenAddress[]> {
  cli.progress.begin("looking into namespaces", paths.length);
  const seen: SeenAddress[] = [];
  for (let first = 0; first < paths.length; first += atOnce) {
    const some = paths.slice(first, first + atOnce).map((path) => seenInNamespace(cli, path));
    seen.push(...(await Promise.all(some)).flat());
  }
  cli.progress.end();
  return seen;
}

/** A namespace that went away meanwhile holds no address; one that stays and cannot be looked into is an error: it might hold any. */
async function seenInNamespace(cli: Cli, path: string): Promise<readonly SeenAddress[]> {
  cli.progress.tick();
  const folder = netnsFolders.find((known) => path.startsWith(`${known}/`));
  const enter = folder === undefined ? ["nsenter", `--net=${path}`, "ip"] : ["ip", "-n", path.slice(folder.length + 1)];
  try {
    return seenOn(ipAddresses(await cli.program([...enter, "-j", "address", "show"])), `in "${path}"`);
  } catch (error) {
    if (!isNamespace(cli, path)) return [];
    throw new CliError(`cannot look into the namespace "${path}": ${messageOf(error)}`);
  }
}

async function ip<T>(cli: Cli, args: readonly string[], parse: (text: string) => T): Promise<T> {
  try {
    return parse(await cli.program(["ip", "-j", ...args]));
  } catch (error) {
    throw new CliError(`cannot look at the node's interfaces: ${messageOf(error)}`);
  }
}

function ownedLink({ ifname, ifalias }: IpLink): readonly SeenLink[] {
  return ifalias?.startsWith(ownerPrefix) ? [{ name: ifname, owner: ifalias }] : [];
}

function seenOn(links: IpAddresses, place: string): readonly SeenAddress[] {
  return links.flatMap(({ ifname, addr_info }) =>
    addr_info.flatMap(({ local, scope }) => {
      const address = local === undefined || scope !== "global" ? undefined : canonicalAddress(local);
      return address === undefined ? [] : [{ address, where: `${ifname} ${place}` }];
    }),
  );
}

/** A route to one address through a host interface of ours: the sandbox behind it has the address. */
function seenByRoute({ dst, dev }: IpRoute): readonly SeenAddress[] {
  if (dev === undefined || !dev.startsWith(hostInterfacePrefix)) return [];
  const address = canonicalAddress(dst.replace(/\/(32|128)$/, ""));
  return address === undefined ? [] : [{ address, where: `the route to ${dev}` }];
}

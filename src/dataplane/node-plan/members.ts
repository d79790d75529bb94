/** What the kernel holds of the scopes of a plan: each table is dumped once, for what a scope names alone. */
import { familyOf } from "../../net/address.ts";
import { contains } from "../../net/prefix.ts";
import { deleteAddress, dumpAddresses, readAddress } from "../../netlink/address.ts";
import { deleteForwarding, dumpForwarding, readForwarding } from "../../netlink/forwarding.ts";
import type { Reply, Request } from "../../netlink/message.ts";
import { deleteNeighbour, dumpNeighbours, readNeighbour } from "../../netlink/neighbour.ts";
import { dumpRoutes, dumpRoutesOf, type RouteEntry, RT_TABLE_MAIN, readAnyRoute } from "../../netlink/route.ts";
import { identityOf } from "../../plan/identity.ts";
import type { Scope } from "../../plan/node-plan.ts";
import { KernelError } from "../errors.ts";
import { addressText, describeFoundRoute, type FoundEntry, neighbourText, routeRemoval, routeText } from "./entries.ts";
import type { Pass } from "./pass.ts";

/** RTPROT_KERNEL, RTPROT_RA: routes that the kernel makes itself for an address or an advertisement. */
const kernelProtocols = [2, 9];

const families = [4, 6] as const;

/** Decides whether a route is in one of the scopes. */
export function routeMembership(scopes: readonly Scope[], pass: Pass): (entry: RouteEntry) => boolean {
  const own = scopes.filter((scope) => scope.kind === "routes");
  const links = scopes.flatMap((scope) => (scope.kind === "link" ? (pass.link(scope.link)?.index ?? []) : []));
  return ({ destination, protocol = 0, table, index }) =>
    own.some((one) => one.protocol === protocol && one.table === table && one.family === familyOf(destination)) ||
    (index !== undefined && table === RT_TABLE_MAIN && links.includes(index) && !kernelProtocols.includes(protocol));
}

/** The members of all scopes, each once. */
export function membersOf(scopes: readonly Scope[], pass: Pass): readonly FoundEntry[] {
  const isMember = routeMembership(scopes, pass);
  const routes = new Map<string, FoundEntry>();
  const addRoutes = (replies: readonly Reply[]) => {
    for (const entry of replies.flatMap(readAnyRoute)) {
      if (!isMember(entry)) continue;
      const found = foundRoute(entry, pass);
      // One of our protocol over a tunnel is in both dumps.
      routes.set(`${found.identity} ${found.text}`, found);
    }
  };
  const others = scopes.flatMap((scope): readonly FoundEntry[] => {
    if (scope.kind === "routes") {
      addRoutes(dumpOf(dumpRoutesOf(scope.family, scope.protocol, scope.table), "routes", pass));
      return [];
    }
    const index = scope.kind === "link" ? pass.link(scope.link)?.index : undefined;
    if (scope.kind !== "link" || index === undefined) return [];
    for (const family of families) addRoutes(dumpOf(dumpRoutes(family, index), "routes", pass));
    return onLink(scope.link, index, pass);
  });
  return [...others, ...routes.values()];
}

function foundRoute(entry: RouteEntry, pass: Pass): FoundEntry {
  const { destination, table, priority } = entry;
  const route = { kind: "route", at: "host", link: "", destination, table } as const;
  return {
    kind: "route",
    identity: identityOf(priority === undefined ? route : { ...route, priority }),
    what: () => describeFoundRoute(entry, (index) => pass.nameOf(index)),
    text: routeText(entry),
    removal: () => routeRemoval(entry),
    destination,
  };
}

/** A kernel without IPv6 answers a dump for it with everything of IPv4, so each is kept by what it says itself. */
function onLink(link: string, index: number, pass: Pass): readonly FoundEntry[] {
  const at = "host";
  const addresses = families
    .flatMap((family) => dumpOf(dumpAddresses(family, index), "addresses", pass).map(readAddress))
    .filter((one) => one.index === index && !contains("fe80::/10", one.address))
    .map(({ address }) => ({
      kind: "address" as const,
      identity: identityOf({ kind: "address", at, link, address }),
      what: () => `address ${address} dev ${link}`,
      text: addressText(),
      removal: () => deleteAddress(index, address),
    }));
  const neighbours = families
    .flatMap((family) => dumpOf(dumpNeighbours(family, index), "neighbours", pass).map(readNeighbour))
    .flatMap(({ index: of, address, mac, permanent }) => {
      if (of !== index || address === undefined || mac === undefined || !permanent) return [];
      return {
        kind: "neighbour" as const,
        identity: identityOf({ kind: "neighbour", at, link, address, mac }),
        what: () => `neighbour ${address} lladdr ${mac} dev ${link}`,
        text: neighbourText(mac, permanent),
        removal: () => deleteNeighbour(index, address),
      };
    });
  const forwarding = dumpOf(dumpForwarding(index), "forwarding entries", pass)
    .flatMap((reply) => readForwarding(reply) ?? [])
    .filter((one) => one.index === index)
    .map(({ mac, destination, permanent }) => ({
      kind: "fdb" as const,
      identity: identityOf({ kind: "fdb", at, link, mac, destination: "" }),
      what: () => `fdb ${mac} dev ${link} dst ${destination}`,
      text: neighbourText(destination, permanent),
      removal: () => deleteForwarding(index, mac, destination),
    }));
  return unique([...addresses, ...neighbours, ...forwarding]);
}

function unique(found: readonly FoundEntry[]): readonly FoundEntry[] {
  return [...new Map(found.map((one) => [`${one.identity} ${one.text}`, one])).values()];
}

/** Nothing if the kernel has no such table, or no such family. */
export function dumpOf(request: Request, what: string, { connection }: Pass): readonly Reply[] {
  try {
    return connection.dump(request, ["list", what]);
  } catch (error) {
    if (error instanceof KernelError && error.is("ENOENT", "EAFNOSUPPORT", "EOPNOTSUPP")) return [];
    throw error;
  }
}

/**
 * Addresses, neighbours, FDB entries and routes: a planned one and one that the kernel holds, in one form, so that two are equal if their texts are.
 */
import { familyOf } from "../../net/address.ts";
import { addAddress, deleteAddress, IFA_F_NODAD, IFA_F_NOPREFIXROUTE } from "../../netlink/address.ts";
import { addForwarding, deleteForwarding } from "../../netlink/forwarding.ts";
import type { Request } from "../../netlink/message.ts";
import { addNeighbour, deleteNeighbour } from "../../netlink/neighbour.ts";
import {
  addRoute,
  deleteRoute,
  type RouteEntry,
  RT_SCOPE_UNIVERSE,
  RT_TABLE_MAIN,
  RTN_BLACKHOLE,
  RTN_UNICAST,
  RTPROT_BOOT,
} from "../../netlink/route.ts";
import { describeBlackhole, describeRoute } from "../../plan/describe.ts";
import { identityOf } from "../../plan/identity.ts";
import type { NodeResourceOf } from "../../plan/node-plan.ts";
import { routePriority } from "../../plan/route-priority.ts";
import { entryOf } from "../kinds/route.ts";

export type EntryResource = NodeResourceOf<"address" | "neighbour" | "fdb" | "route" | "blackhole">;
type RouteResource = NodeResourceOf<"route" | "blackhole">;

/** The order in which entries are added; they are removed in the reverse order. */
export const entryKinds = ["address", "neighbour", "fdb", "route", "blackhole"] as const;

export interface WantedEntry {
  readonly resource: EntryResource;
  readonly identity: string;
  /** In the words of ip(8); only for what is reported. */
  readonly what: () => string;
  /** Everything that the kernel holds of it, apart from its identity. */
  readonly text: string;
  /** With NLM_F_REPLACE or NLM_F_EXCL. */
  readonly request: (replace: boolean) => Request;
  readonly removal: () => Request;
}

/** One in the kernel, of a scope. */
export interface FoundEntry {
  readonly kind: (typeof entryKinds)[number];
  readonly identity: string;
  /** In the words of ip(8); only for what is reported. */
  readonly what: () => string;
  readonly text: string;
  readonly removal: () => Request;
  /** Of a route. */
  readonly destination?: string;
}

/** Throws `MissingError` if its link does not exist. */
export function wantedEntry(resource: EntryResource, indexOf: (link: string) => number): WantedEntry {
  const common = { resource, identity: identityOf(resource), what: () => describeEntry(resource) };
  switch (resource.kind) {
    case "address": {
      const { link, address, noDad, noPrefixRoute } = resource;
      const flags = (noDad ? IFA_F_NODAD : 0) | (noPrefixRoute ? IFA_F_NOPREFIXROUTE : 0);
      const index = indexOf(link);
      // The kernel offers no replacement: an address has no other property.
      const request = () => addAddress(index, address, flags);
      return { ...common, text: addressText(), request, removal: () => deleteAddress(index, address) };
    }
    case "neighbour": {
      const { link, address, mac } = resource;
      const index = indexOf(link);
      const request = (replace: boolean) => addNeighbour(index, address, mac, replace);
      return { ...common, text: neighbourText(mac, true), request, removal: () => deleteNeighbour(index, address) };
    }
    case "fdb": {
      const { link, mac, destination } = resource;
      const index = indexOf(link);
      const request = (replace: boolean) => addForwarding(index, mac, destination, replace);
      return {
        ...common,
        text: neighbourText(destination, true),
        request,
        removal: () => deleteForwarding(index, mac),
      };
    }
    case "route":
    case "blackhole": {
      const entry = routeEntry(resource, indexOf);
      const request = (replace: boolean) => addRoute(entry, replace);
      return { ...common, text: routeText(entry), request, removal: () => routeRemoval(entry) };
    }
  }
}

function routeEntry(resource: RouteResource, indexOf: (link: string) => number): RouteEntry {
  if (resource.kind === "route") return entryOf(resource, indexOf(resource.link));
  const { destination, protocol } = resource;
  const none = { index: undefined, gateway: undefined, source: undefined, priority: undefined };
  const common = { ...none, mtu: undefined, advmss: undefined, scope: RT_SCOPE_UNIVERSE, table: RT_TABLE_MAIN };
  return { ...common, destination, protocol, type: RTN_BLACKHOLE };
}

export function addressText(): string {
  return "";
}

/** `value`: the MAC address of a neighbour, the destination of an FDB entry. */
export function neighbourText(value: string | undefined, permanent: boolean): string {
  return `${value}${permanent ? " permanent" : ""}`;
}

/** The kernel gives a blackhole of IPv6 the link `lo`. */
export function routeText(entry: RouteEntry): string {
  const {
    type = RTN_UNICAST,
    index,
    gateway,
    scope,
    source,
    mtu,
    advmss,
    protocol = RTPROT_BOOT,
    onlink = false,
  } = entry;
  if (type !== RTN_UNICAST) return `type ${type} ${protocol}`;
  return [index, gateway, scope, source, mtu, advmss, protocol, onlink].join(" ");
}

/** By what identifies it among routes of the same destination: the kernel compares nothing else. */
export function routeRemoval(entry: RouteEntry): Request {
  const isUnicast = (entry.type ?? RTN_UNICAST) === RTN_UNICAST;
  const { index, gateway } = isUnicast ? entry : { index: undefined, gateway: undefined };
  const priority = routePriority(entry);
  return deleteRoute({ ...entry, index, gateway, priority, source: undefined, mtu: undefined, advmss: undefined });
}

/** In the words of ip(8) and bridge(8). */
export function describeEntry(resource: EntryResource): string {
  switch (resource.kind) {
    case "address":
      return `address ${resource.address} dev ${resource.link}`;
    case "neighbour":
      return `neighbour ${resource.address} lladdr ${resource.mac} dev ${resource.link}`;
    case "fdb":
      return `fdb ${resource.mac} dev ${resource.link} dst ${resource.destination}`;
    case "route":
      return `route ${describeRoute(resource)}`;
    case "blackhole":
      return `route ${describeBlackhole(resource)}`;
  }
}

/** A route of the kernel in the words of ip(8); `nameOf`: the link's name. */
export function describeFoundRoute(entry: RouteEntry, nameOf: (index: number) => string): string {
  const { destination, type = RTN_UNICAST, index = 0, gateway, protocol = 0, table, priority, mtu } = entry;
  if (type === RTN_BLACKHOLE) return `route ${describeBlackhole({ destination, protocol })}`;
  const isDefault = priority === undefined || priority === routePriority({ destination });
  return `route ${describeRoute({
    kind: "route",
    at: "host",
    destination,
    link: nameOf(index),
    ...(protocol !== RTPROT_BOOT && { protocol }),
    ...(familyOf(destination) === 4 && { scope: entry.scope }),
    ...(gateway !== undefined && { gateway }),
    ...(table !== RT_TABLE_MAIN && { table }),
    ...(!isDefault && { priority }),
    ...(mtu !== undefined && { mtu }),
    ...(entry.onlink && { onlink: true }),
  })}`;
}

/** Routes: `struct rtmsg` and RTA_* (linux/rtnetlink.h). */
import { addressBytes, type Family, familyOf } from "../net/address.ts";
import { addressOf, lengthOf } from "../net/prefix.ts";
import { type Attributes, align, MalformedError, readAttributes, u8Of, u16Of, u32Of } from "./codec/attribute.ts";
import { AttributeWriter } from "./codec/attribute-writer.ts";
import { addressFamily, familyOfNumber } from "./family.ts";
import { NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, type Reply, type Request } from "./message.ts";
import { addressIn, dump, RTM_DELROUTE, RTM_GETROUTE, RTM_NEWROUTE, requestWithAck } from "./rtnetlink.ts";

export const RTA_DST = 1;
export const RTA_OIF = 4;
export const RTA_GATEWAY = 5;
export const RTA_PRIORITY = 6;
export const RTA_PREFSRC = 7;
export const RTA_METRICS = 8;
export const RTA_MULTIPATH = 9;
export const RTA_TABLE = 15;
export const RTA_VIA = 18;
export const RTAX_MTU = 2;
export const RTAX_ADVMSS = 8;
export const RT_TABLE_MAIN = 254;
const RT_TABLE_LOCAL = 255;
export const RT_SCOPE_UNIVERSE = 0;
export const RT_SCOPE_LINK = 253;
const RTPROT_KERNEL = 2;
/** Set by a program at configuration time, as by ip(8) and by Calico's plugin. */
export const RTPROT_BOOT = 3;
/** The gateway is on the link, whatever its addresses say. */
const RTNH_F_ONLINK = 4;
export const RTN_BLACKHOLE = 6;
export const RTN_UNICAST = 1;
export const RTN_LOCAL = 2;
/** The kernel's copy of a route for one destination; dumps of old kernels contain them. */
const RTM_F_CLONED = 0x200;
/** A look-up returns the route as it is in its table, with its prefix (Linux 4.13). */
export const RTM_F_FIB_MATCH = 0x2000;
export const routeHeaderLength = 12;
const hopHeaderLength = 8;

/** A unicast route with one next hop. */
export interface RouteEntry {
  /** With its prefix length. */
  readonly destination: string;
  readonly index: number | undefined;
  readonly gateway: string | undefined;
  readonly scope: number;
  readonly table: number;
  readonly source: string | undefined;
  readonly priority: number | undefined;
  readonly mtu: number | undefined;
  readonly advmss: number | undefined;
  /** The program that created it, as a number; absent in a request: RTPROT_BOOT. */
  readonly protocol?: number | undefined;
  readonly onlink?: boolean | undefined;
  /** RTN_*; absent in a request: RTN_UNICAST. */
  readonly type?: number | undefined;
}

/** Adds a route. With `replace` it replaces one with the same destination, table and priority; without it, such a route is `EEXIST`. */
export function addRoute(route: RouteEntry, replace: boolean): Request {
  const flags = NLM_F_CREATE | (replace ? NLM_F_REPLACE : NLM_F_EXCL);
  return requestWithAck(RTM_NEWROUTE, flags, routePayload(route));
}

export function deleteRoute(route: RouteEntry): Request {
  return requestWithAck(RTM_DELROUTE, 0, routePayload(route));
}

/**
 * Deletes the two routes that the kernel makes for each link with IPv6: to the link's own network and to multicast groups (addrconf_add_mroute and
 * addrconf_prefix_route in net/ipv6/addrconf.c). `ESRCH`: there is none.
 */
export function deleteKernelRoutes(index: number): readonly Request[] {
  const tables = [
    ["fe80::/64", RT_TABLE_MAIN],
    ["ff00::/8", RT_TABLE_LOCAL],
  ] as const;
  const rest = { gateway: undefined, source: undefined, priority: undefined, mtu: undefined, advmss: undefined };
  return tables.map(([destination, table]) =>
    deleteRoute({ destination, index, table, scope: RT_SCOPE_UNIVERSE, protocol: RTPROT_KERNEL, ...rest }),
  );
}

/** Requests the routes of a program in one table; kernels before 4.20 return all routes anyway. `ENOENT`: there is no such table. */
export function dumpRoutesOf(family: Family, protocol: number, table: number): Request {
  const to = { family: addressFamily(family), length: 0, table: table < 256 ? table : 0, scope: 0, type: 0, protocol };
  const writer = routeHeader(to);
  if (table > 255) writer.u32(RTA_TABLE, table);
  return dump(RTM_GETROUTE, writer.finish());
}

/** Requests the routes of a family, or of one link; kernels before 4.20 return those of all links anyway. */
export function dumpRoutes(family: Family, index?: number): Request {
  const writer = routeHeader({ family: addressFamily(family), length: 0, table: 0, scope: 0, type: 0, protocol: 0 });
  if (index !== undefined) writer.u32(RTA_OIF, index);
  return dump(RTM_GETROUTE, writer.finish());
}

/** Adds a blackhole route for a range; an existing route to the range is `EEXIST`. */
export function addBlackhole(destination: string, protocol: number): Request {
  return requestWithAck(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, blackholePayload(destination, protocol));
}

/**
 * Asks whether the main table has a route to exactly this range: `EEXIST` if it has, `ENOENT` if not (fib_table_insert in net/ipv4/fib_trie.c).
 * Only for IPv4: an IPv6 route is added even without NLM_F_CREATE (fib6_add_1 in net/ipv6/ip6_fib.c).
 */
export function lookForRoute(destination: string): Request {
  return requestWithAck(RTM_NEWROUTE, NLM_F_EXCL, blackholePayload(destination, RTPROT_BOOT));
}

/** Deletes it if it has this protocol. */
export function deleteBlackhole(destination: string, protocol: number): Request {
  return requestWithAck(RTM_DELROUTE, 0, blackholePayload(destination, protocol));
}

/** Requests those of the main table; kernels before 4.20 return all routes anyway. */
export function dumpBlackholes(family: Family, protocol: number): Request {
  const to = { family: addressFamily(family), length: 0, table: RT_TABLE_MAIN };
  return dump(RTM_GETROUTE, routeHeader({ ...to, scope: 0, type: RTN_BLACKHOLE, protocol }).finish());
}

/**
 * Reads an RTM_NEWROUTE: returns the range of a blackhole route with that protocol in the main table, nothing for any other route. Throws
 * `MalformedError`.
 */
export function readBlackhole({ payload }: Reply, protocol: number): readonly string[] {
  if (u8Of(payload, 7) !== RTN_BLACKHOLE || u8Of(payload, 5) !== protocol || u8Of(payload, 4) !== RT_TABLE_MAIN)
    return [];
  return [destinationIn(payload, readAttributes(payload, routeHeaderLength))];
}

/** Reads an RTM_NEWROUTE of any type: returns the range, nothing for a route outside the main table. Throws `MalformedError`. */
export function readRange({ payload }: Reply): readonly string[] {
  return u8Of(payload, 4) === RT_TABLE_MAIN ? [destinationIn(payload, readAttributes(payload, routeHeaderLength))] : [];
}

function blackholePayload(destination: string, protocol: number): Uint8Array {
  const to = { family: addressFamily(familyOf(destination)), length: lengthOf(destination), table: RT_TABLE_MAIN };
  const writer = routeHeader({ ...to, scope: RT_SCOPE_UNIVERSE, type: RTN_BLACKHOLE, protocol });
  return writer.bytes(RTA_DST, addressBytes(addressOf(destination))).finish();
}

/**
 * Reads an RTM_NEWROUTE: returns an entry for each next hop (IPv6 merges appended routes into one), nothing if it is not a unicast route.
 * Throws `MalformedError`.
 */
export function readRoute(reply: Reply): readonly RouteEntry[] {
  return u8Of(reply.payload, 7) === RTN_UNICAST ? readAnyRoute(reply) : [];
}

/** The same for a route of any type; nothing for the kernel's copies. Throws `MalformedError`. */
export function readAnyRoute({ payload }: Reply): readonly RouteEntry[] {
  if ((u32Of(payload, 8) & RTM_F_CLONED) !== 0) return [];
  const attributes = readAttributes(payload, routeHeaderLength);
  const number = (type: number): number | undefined => numberIn(attributes, type);
  const metrics = attributes.get(RTA_METRICS);
  const metric = metrics && readAttributes(metrics);
  const common = {
    destination: destinationIn(payload, attributes),
    type: u8Of(payload, 7),
    scope: u8Of(payload, 6),
    table: number(RTA_TABLE) ?? u8Of(payload, 4),
    source: addressIn(attributes, RTA_PREFSRC),
    priority: number(RTA_PRIORITY),
    mtu: metric && numberIn(metric, RTAX_MTU),
    advmss: metric && numberIn(metric, RTAX_ADVMSS),
    protocol: u8Of(payload, 5),
    onlink: (u32Of(payload, 8) & RTNH_F_ONLINK) !== 0,
  };
  const hops = attributes.get(RTA_MULTIPATH);
  if (hops !== undefined) return readHops(hops).map((hop) => ({ ...common, ...hop }));
  return [{ ...common, index: number(RTA_OIF), gateway: addressIn(attributes, RTA_GATEWAY) }];
}

function destinationIn(payload: Uint8Array, attributes: Attributes): string {
  const anywhere = familyOfNumber(u8Of(payload)) === 6 ? "::" : "0.0.0.0";
  return `${addressIn(attributes, RTA_DST) ?? anywhere}/${u8Of(payload, 1)}`;
}

/** `struct rtnexthop`, one after another: length, flags, hops, interface; then attributes. */
function readHops(bytes: Uint8Array): readonly Pick<RouteEntry, "index" | "gateway">[] {
  const hops: Pick<RouteEntry, "index" | "gateway">[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = u16Of(bytes, at);
    if (length < hopHeaderLength || at + length > bytes.length) {
      throw new MalformedError(`cannot read a next hop: its length is ${length}, ${bytes.length - at} bytes are left`);
    }
    const attributes = readAttributes(bytes.subarray(at, at + length), hopHeaderLength);
    hops.push({ index: u32Of(bytes, at + 4), gateway: addressIn(attributes, RTA_GATEWAY) });
    at += align(length);
  }
  return hops;
}

function numberIn(attributes: Attributes, type: number): number | undefined {
  const value = attributes.get(type);
  return value && u32Of(value);
}

function routePayload(route: RouteEntry): Uint8Array {
  const { destination, index, gateway, source, priority, table, mtu, advmss } = route;
  const length = lengthOf(destination);
  // rtm_table has one byte; 0 (unspecified) makes the kernel read RTA_TABLE.
  const writer = routeHeader({
    family: addressFamily(familyOf(destination)),
    length,
    table: table < 256 ? table : 0,
    scope: route.scope,
    type: route.type ?? RTN_UNICAST,
    protocol: route.protocol ?? RTPROT_BOOT,
    flags: route.onlink ? RTNH_F_ONLINK : 0,
  });
  if (length > 0) writer.bytes(RTA_DST, addressBytes(addressOf(destination)));
  if (gateway !== undefined) writer.bytes(RTA_GATEWAY, addressBytes(gateway));
  if (index !== undefined) writer.u32(RTA_OIF, index);
  if (source !== undefined) writer.bytes(RTA_PREFSRC, addressBytes(source));
  if (priority !== undefined) writer.u32(RTA_PRIORITY, priority);
  if (table > 255) writer.u32(RTA_TABLE, table);
  if (mtu !== undefined || advmss !== undefined) {
    writer.nest(RTA_METRICS, () => {
      if (mtu !== undefined) writer.u32(RTAX_MTU, mtu);
      if (advmss !== undefined) writer.u32(RTAX_ADVMSS, advmss);
    });
  }
  return writer.finish();
}

/** rtm_family, dst_len, src_len, tos, table, protocol, scope, type, flags. */
function routeHeader(to: {
  readonly family: number;
  readonly length: number;
  readonly table: number;
  readonly scope: number;
  readonly type: number;
  readonly protocol: number;
  readonly flags?: number;
}): AttributeWriter {
  const writer = new AttributeWriter().octets(to.family, to.length, 0, 0);
  return writer.octets(to.table, to.protocol, to.scope, to.type).word(to.flags ?? 0);
}

/** Routes of the fake kernel. */

import { addressBytes, type Family, familyOf, formatAddress } from "../../../src/net/address.ts";
import { addressOf, contains, lengthOf, maskPrefix } from "../../../src/net/prefix.ts";
import { readAttributes, u8Of, u32Of } from "../../../src/netlink/codec/attribute.ts";
import { AttributeWriter } from "../../../src/netlink/codec/attribute-writer.ts";
import { addressFamily } from "../../../src/netlink/family.ts";
import { NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REPLACE, type Reply } from "../../../src/netlink/message.ts";
import * as route from "../../../src/netlink/route.ts";
import { RTM_DELROUTE, RTM_GETROUTE, RTM_NEWROUTE } from "../../../src/netlink/rtnetlink.ts";
import { Refused } from "./errno.ts";
import type { Answer, Handler } from "./kernel.ts";
import type { FakeLink, FakeNetns, FakeRoute } from "./netns.ts";

export const routeHandlers: Readonly<Record<number, Handler>> = {
  [RTM_NEWROUTE]: newRoute,
  [RTM_DELROUTE]: deleteRoute,
  [RTM_GETROUTE]: getRoutes,
};

function newRoute(netns: FakeNetns, request: Reply): readonly Answer[] {
  const { flags } = request;
  const wanted = routeIn(request);
  if (wanted.type === "blackhole" && familyOf(wanted.destination) === 6 && !netns.ipv6)
    throw new Refused("EAFNOSUPPORT");
  const link = netns.links.get(wanted.index ?? 0);
  if (maskPrefix(wanted.destination) !== wanted.destination) {
    throw new Refused("EINVAL", "Invalid prefix for given prefix length");
  }
  if (wanted.type !== "blackhole") checkNexthop(netns, link, wanted);
  const at = netns.routes.findIndex((has) => sameKey(has, wanted));
  if (at >= 0 && (flags & NLM_F_EXCL) !== 0) throw new Refused("EEXIST");
  if (at < 0 && (flags & NLM_F_CREATE) === 0) throw new Refused("ENOENT");
  if (at >= 0 && (flags & NLM_F_REPLACE) !== 0) netns.routes.splice(at, 1, wanted);
  else netns.routes.push(wanted);
  return [];
}

function checkNexthop(netns: FakeNetns, link: FakeLink | undefined, wanted: FakeRoute): void {
  if (link === undefined) throw new Refused("ENODEV");
  if (familyOf(wanted.destination) === 4) checkNexthop4(netns, link, wanted);
  else checkNexthop6(netns, link, wanted);
}

function checkNexthop4(netns: FakeNetns, link: FakeLink, { gateway, scope, source }: FakeRoute): void {
  if (!link.up) throw new Refused("ENETDOWN", "Device for nexthop is not up");
  if (gateway !== undefined) {
    if (scope >= route.RT_SCOPE_LINK) throw new Refused("EINVAL", "Scope for IPv4 nexthop must be less than link");
    if (!netns.onLink(link, gateway)) throw new Refused("ENETUNREACH", "Nexthop has invalid gateway");
  }
  const local = [...netns.links.values()].flatMap(({ addresses }) => addresses.map(addressOf));
  if (source !== undefined && !local.includes(source)) throw new Refused("EINVAL", "Invalid prefsrc address");
}

function checkNexthop6(netns: FakeNetns, link: FakeLink, { gateway }: FakeRoute): void {
  if (!netns.ipv6) throw new Refused("EOPNOTSUPP");
  if (netns.sysctl.get(`ipv6/conf/${link.name}/disable_ipv6`) !== "0") {
    throw new Refused("EACCES", "IPv6 is disabled on nexthop device");
  }
  if (!link.up) throw new Refused("ENETDOWN", "Nexthop device is not up");
  if (gateway !== undefined && !gateway.startsWith("fe80:") && !netns.onLink(link, gateway)) {
    throw new Refused("EHOSTUNREACH", "Gateway can not be a local address");
  }
}

function deleteRoute(netns: FakeNetns, request: Reply): readonly Answer[] {
  const wanted = routeIn(request);
  const at = netns.routes.findIndex(
    (has) =>
      sameKey(has, wanted) &&
      has.type === wanted.type &&
      (has.type === undefined || has.protocol === wanted.protocol) &&
      (wanted.index === undefined || wanted.index === has.index) &&
      (wanted.gateway === undefined || wanted.gateway === has.gateway),
  );
  if (at < 0) throw new Refused("ESRCH");
  netns.routes.splice(at, 1);
  return [];
}

function getRoutes(netns: FakeNetns, { payload, flags }: Reply): readonly Answer[] {
  const attributes = readAttributes(payload, route.routeHeaderLength);
  const wanted = attributes.get(route.RTA_DST);
  if ((flags & NLM_F_DUMP) === 0 && wanted) {
    const matched = (u32Of(payload, 8) & route.RTM_F_FIB_MATCH) !== 0;
    return [(matched ? localRoute(netns, formatAddress(wanted)) : undefined) ?? lookUp(netns, formatAddress(wanted))];
  }
  const link = attributes.get(route.RTA_OIF);
  if (link && !netns.links.has(u32Of(link))) throw new Refused("ENODEV");
  return netns.routes
    .filter(({ destination }) => addressFamily(familyOf(destination)) === u8Of(payload))
    .filter(({ index }) => link === undefined || index === u32Of(link))
    .filter(
      ({ type }) => u8Of(payload, 7) === 0 || (type === "blackhole") === (u8Of(payload, 7) === route.RTN_BLACKHOLE),
    )
    .map((found) => ({ type: RTM_NEWROUTE, payload: describe(found, familyOf(found.destination)) }));
}

/** The table "local" is modelled only for lookups of the matching route. */
function localRoute(netns: FakeNetns, address: string): Answer | undefined {
  const links = [...netns.links.values()];
  const link = links.find(({ addresses }) => addresses.some((own) => addressOf(own) === address));
  if (link === undefined) return undefined;
  const bytes = addressBytes(address);
  const writer = new AttributeWriter().octets(addressFamily(familyOf(address)), bytes.length * 8, 0, 0);
  // Table 255 "local", protocol "kernel", scope "host", type RTN_LOCAL.
  writer.octets(255, 2, 254, 2).word(0);
  return { type: RTM_NEWROUTE, payload: writer.bytes(route.RTA_DST, bytes).u32(route.RTA_OIF, link.index).finish() };
}

/** The longest matching prefix; the node's own addresses are not considered. */
function lookUp(netns: FakeNetns, address: string): Answer {
  const [found] = netns.routes
    .filter(({ destination }) => familyOf(destination) === familyOf(address) && contains(destination, address))
    .sort((a, b) => lengthOf(b.destination) - lengthOf(a.destination));
  if (found === undefined) throw new Refused("ENETUNREACH");
  if (found.type === "blackhole") throw new Refused("EINVAL");
  return { type: RTM_NEWROUTE, payload: describe(found, familyOf(address)) };
}

function describe(found: FakeRoute, family: Family): Uint8Array {
  const { destination, index, gateway, scope, table, source, priority, mtu, advmss, protocol, type } = found;
  const length = lengthOf(destination);
  const writer = new AttributeWriter().octets(addressFamily(family), length, 0, 0);
  const shownTable = table < 256 ? table : 252;
  const shownType = type === "blackhole" ? route.RTN_BLACKHOLE : route.RTN_UNICAST;
  writer.octets(shownTable, { kernel: 2, boot: 3, ra: 9, 80: 80 }[protocol], scope, shownType).word(0);
  writer.u32(route.RTA_TABLE, table);
  if (length > 0) writer.bytes(route.RTA_DST, addressBytes(addressOf(destination)));
  if (priority !== undefined) writer.u32(route.RTA_PRIORITY, priority);
  if (mtu !== undefined || advmss !== undefined) {
    writer.nest(route.RTA_METRICS, () => {
      if (mtu !== undefined) writer.u32(route.RTAX_MTU, mtu);
      if (advmss !== undefined) writer.u32(route.RTAX_ADVMSS, advmss);
    });
  }
  if (source !== undefined) writer.bytes(route.RTA_PREFSRC, addressBytes(source));
  if (gateway !== undefined) writer.bytes(route.RTA_GATEWAY, addressBytes(gateway));
  if (index !== undefined) writer.u32(route.RTA_OIF, index);
  return writer.finish();
}

/** A route as the kernel stores it: IPv6 has a metric and no scope. */
function routeIn(request: Reply): FakeRoute {
  const isQuestion = (request.flags & NLM_F_CREATE) === 0 && request.type === RTM_NEWROUTE;
  const [range] = route.readBlackhole(request, isQuestion ? 3 : 80);
  const [read] = route.readRoute(request);
  if (range !== undefined)
    return { ...blackhole, destination: range, priority: familyOf(range) === 4 ? undefined : 1024 };
  if (read === undefined) throw new Error("only unicast routes and blackholes of protocol 80 are modelled");
  const { type: _, ...wanted } = read;
  const table = wanted.table === 0 ? 254 : wanted.table;
  if (familyOf(wanted.destination) === 4) return { ...wanted, table, protocol: "boot" };
  return { ...wanted, table, protocol: "boot", scope: 0, priority: wanted.priority ?? 1024 };
}

const blackhole = {
  index: undefined,
  gateway: undefined,
  scope: 0,
  table: 254,
  source: undefined,
  mtu: undefined,
  advmss: undefined,
  protocol: 80,
  type: "blackhole",
} as const;

function sameKey(one: FakeRoute, other: FakeRoute): boolean {
  return (
    one.destination === other.destination && one.table === other.table && (one.priority ?? 0) === (other.priority ?? 0)
  );
}

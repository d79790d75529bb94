/** Looks up which interface leads to an address. */
import type { Sys } from "../../host/sys.ts";
import { readAttributes, u8Of, u32Of } from "../../netlink/attribute.ts";
import { getLink, readLink } from "../../netlink/link.ts";
import { lookUpRoute, RTA_GATEWAY, RTA_OIF, RTA_VIA, routeHeaderLength } from "../../netlink/route.ts";
import { NetlinkConnection, type Outcome } from "../connection.ts";
import { hasErrno, KernelError } from "../errors.ts";

/** The interface's name; `undefined` if the route has a gateway. Throws `KernelError` if there is no route. */
export function interfaceOf(address: string, sys: Sys): string | undefined {
  const connection = new NetlinkConnection(sys.openNetlink("route"));
  try {
    const what = ["find", `the interface of ${address}`] as const;
    const route = lookUp(address, connection);
    const attributes = attributesOf(route);
    const index = attributes?.get(RTA_OIF);
    if (attributes && leadsAway(attributes)) return undefined;
    if (index === undefined) throw new KernelError(what, route);
    const link = connection.request(getLink(u32Of(index)));
    const found = link.replies[0];
    if (found === undefined) throw new KernelError(what, link);
    return readLink(found).name;
  } finally {
    connection.close();
  }
}

/**
 * Whether an interface leads to the address without a gateway. A route that says "unreachable", "prohibit" or "blackhole" does not
 * (fib_props in net/ipv4/fib_semantics.c). Throws `KernelError` when it cannot be known.
 */
export function isOnHost(address: string, sys: Sys): boolean {
  const connection = new NetlinkConnection(sys.openNetlink("route"));
  try {
    const route = lookUp(address, connection);
    if (hasErrno(route, "ENETUNREACH", "EHOSTUNREACH", "EACCES", "EINVAL")) return false;
    const attributes = attributesOf(route);
    if (attributes === undefined) throw new KernelError(["find the way", `to ${address}`], route);
    return attributes.has(RTA_OIF) && !leadsAway(attributes);
  } finally {
    connection.close();
  }
}

/** Whether it is an address of this host. */
export function isLocal(address: string, sys: Sys): boolean {
  const connection = new NetlinkConnection(sys.openNetlink("route"));
  try {
    const [reply] = connection.request(lookUpRoute(address, { matched: true })).replies;
    return reply !== undefined && u8Of(reply.payload, typeOffset) === RTN_LOCAL;
  } finally {
    connection.close();
  }
}

/** `rtm_type` of `struct rtmsg` (linux/rtnetlink.h). */
const typeOffset = 7;
const RTN_LOCAL = 2;

function lookUp(address: string, connection: NetlinkConnection): Outcome {
  return connection.request(lookUpRoute(address));
}

function attributesOf({ replies: [reply] }: Outcome): ReturnType<typeof readAttributes> | undefined {
  return reply && readAttributes(reply.payload, routeHeaderLength);
}

function leadsAway(attributes: ReturnType<typeof readAttributes>): boolean {
  return attributes.has(RTA_GATEWAY) || attributes.has(RTA_VIA);
}

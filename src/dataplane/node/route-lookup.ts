/** Looks up which interface leads to an address. */
import type { Sys } from "../../host/sys.ts";
import { getLink, readLink } from "../../netlink/link.ts";
import { RTN_LOCAL } from "../../netlink/route.ts";
import { lookUpRoute, readWay, type Way } from "../../netlink/route-lookup.ts";
import { NetlinkConnection, type Outcome } from "../connection.ts";
import { hasErrno, KernelError } from "../errors.ts";

/** The interface's name; `undefined` if the route has a gateway. Throws `KernelError` if there is no route. */
export function interfaceOf(address: string, sys: Sys): string | undefined {
  return lookUp(address, sys, {}, (way, answer, connection) => {
    const what = ["find", `the interface of ${address}`] as const;
    if (way?.leadsAway) return undefined;
    if (way?.link === undefined) throw new KernelError(what, answer);
    const link = connection.request(getLink(way.link));
    const found = link.replies[0];
    if (found === undefined) throw new KernelError(what, link);
    return readLink(found).name;
  });
}

/**
 * Whether an interface leads to the address without a gateway. A route of type "unreachable", "prohibit" or "blackhole" does not
 * (fib_props in net/ipv4/fib_semantics.c). Throws `KernelError` if the kernel does not answer.
 */
export function isOnHost(address: string, sys: Sys): boolean {
  return lookUp(address, sys, {}, (way, answer) => {
    if (hasErrno(answer, "ENETUNREACH", "EHOSTUNREACH", "EACCES", "EINVAL")) return false;
    if (way === undefined) throw new KernelError(["find the way", `to ${address}`], answer);
    return way.link !== undefined && !way.leadsAway;
  });
}

/** Whether it is an address of this host. */
export function isLocal(address: string, sys: Sys): boolean {
  return lookUp(address, sys, { matched: true }, (way) => way?.type === RTN_LOCAL);
}

function lookUp<T>(
  address: string,
  sys: Sys,
  options: { readonly matched?: boolean },
  body: (way: Way | undefined, answer: Outcome, connection: NetlinkConnection) => T,
): T {
  const connection = new NetlinkConnection(sys.openNetlink("route"));
  try {
    const answer = connection.request(lookUpRoute(address, options));
    const [reply] = answer.replies;
    return body(reply && readWay(reply, address), answer, connection);
  } finally {
    connection.close();
  }
}

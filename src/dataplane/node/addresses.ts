/**
 * Whether an address belongs to the node, so that no pod may get it. It looks up one route per address, so the cost does not depend on the
 * number of pods, and it sees the node's current addresses.
 *
 *     192.168.1.10   local                         an address of the node
 *     192.168.1.1    the gateway of a look-up      the node's gateway
 *     192.168.1.77   192.168.1.0/24 dev eth0       in the node's network, if that is a part of the pool
 */
import type { Sys } from "../../host/sys.ts";
import { familyOf } from "../../net/address.ts";
import { contains, hostPrefix, lengthOf } from "../../net/prefix.ts";
import { getLink, readLink } from "../../netlink/link.ts";
import { lookForRoute, RTN_UNICAST } from "../../netlink/route.ts";
import { lookUpRoute, readWay, type Way } from "../../netlink/route-lookup.ts";
import { NetlinkConnection, type Outcome } from "../connection.ts";
import { hasErrno, KernelError } from "../errors.ts";

export interface NodeAddress {
  /** The prefix that contains the address and is excluded for the same reason. */
  readonly range: string;
  /** The reason, following "it". */
  readonly reason: string;
}

/** Documentation addresses (RFC 5737, RFC 3849), which only the default route matches. */
export const documentationAddresses = { 4: "192.0.2.1", 6: "2001:db8::1" } as const;

export class NodeAddresses {
  readonly #sys: Sys;
  /** Whether each pod has its own route, so that its address must not be in a network of the node. */
  readonly #routed: boolean;
  #connection: NetlinkConnection | undefined;

  constructor(sys: Sys, { routed }: { readonly routed: boolean }) {
    this.#sys = sys;
    this.#routed = routed;
  }

  /** `undefined` if a pod of the pool (by its CIDR) may have the address. Throws `KernelError` if the kernel does not answer. */
  find(address: string, pool: string): NodeAddress | undefined {
    this.#connection ??= new NetlinkConnection(this.#sys.openNetlink("route"));
    const requests = [lookUpRoute(address, { matched: true }), lookUpRoute(documentationAddresses[familyOf(address)])];
    const [matched, away] = this.#connection.exchange(requests) as [Outcome, Outcome];
    const gateway = routeIn(away, address)?.gateway;
    if (gateway === address) return { range: hostPrefix(address), reason: "is the node's gateway" };
    const route = routeIn(matched, address);
    if (route === undefined) return undefined;
    if (route.type !== RTN_UNICAST) return { range: hostPrefix(address), reason: "is an address of the node" };
    const { network } = route;
    const isNetwork = !route.leadsAway && lengthOf(network) > 0 && lengthOf(network) < lengthOf(address);
    if (!this.#routed || !isNetwork || contains(network, pool)) return undefined;
    return { range: network, reason: `is in the node's network ${network}${this.#linkText(route.link)}` };
  }

  close(): void {
    this.#connection?.close();
  }

  #linkText(index: number | undefined): string {
    const [link] = index === undefined ? [] : (this.#connection?.request(getLink(index)).replies ?? []);
    return link === undefined ? "" : ` ("${readLink(link).name}")`;
  }
}

/**
 * The route to an address; `undefined` if it is unreachable. `matched`: returns the matching route itself (RTM_F_FIB_MATCH) instead of the
 * result for this destination. Throws `KernelError` if the kernel does not answer.
 */
export function routeTo(address: string, connection: NetlinkConnection, { matched = false } = {}): Way | undefined {
  return routeIn(connection.request(lookUpRoute(address, { matched })), address);
}

/**
 * Whether a range of addresses is part of a network of the node, which may have hosts other than pods: the route to it has no gateway. Looks up
 * these addresses of the range until one has no narrower route of its own; `undefined` if all have one.
 */
export function isInNetwork(
  range: string,
  addresses: readonly string[],
  connection: NetlinkConnection,
): boolean | undefined {
  for (const address of addresses) {
    const way = routeTo(address, connection, { matched: true });
    if (way === undefined) return false;
    if (lengthOf(way.network) < lengthOf(range)) return !way.leadsAway && lengthOf(way.network) > 0;
  }
  return undefined;
}

/** Whether the main table has a route, own or foreign, to exactly this range; `undefined` for IPv6, where only a dump would show it. */
export function hasRoute(range: string, connection: NetlinkConnection): boolean | undefined {
  if (familyOf(range) === 6) return undefined;
  const outcome = connection.request(lookForRoute(range));
  if (hasErrno(outcome, "EEXIST")) return true;
  if (hasErrno(outcome, "ENOENT")) return false;
  throw new KernelError(["look for", `a route to ${range}`], outcome);
}

/** `undefined` if packets cannot get there: no route, a route that rejects them, or a kernel without the family. */
function routeIn(outcome: Outcome, address: string): Way | undefined {
  const [reply] = outcome.replies;
  if (reply === undefined) {
    if (hasErrno(outcome, "ENETUNREACH", "EHOSTUNREACH", "EACCES", "EINVAL", "EAFNOSUPPORT", "EOPNOTSUPP"))
      return undefined;
    throw new KernelError(["find the way", `to ${address}`], outcome);
  }
  return readWay(reply, address);
}

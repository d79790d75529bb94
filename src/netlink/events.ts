/**
 * What the kernel tells of its own accord: rtnetlink's multicast groups (RTNLGRP_*, linux/rtnetlink.h).
 *
 * A notification has the form of the request that makes such an object. Its header names the port of the socket whose request caused it, or 0.
 */
import { readAddress } from "./address.ts";
import { i32Of } from "./codec/attribute.ts";
import { readForwarding } from "./forwarding.ts";
import { readLink } from "./link.ts";
import type { Reply } from "./message.ts";
import { readNeighbour } from "./neighbour.ts";
import { type RouteEntry, readAnyRoute } from "./route.ts";
import {
  RTM_DELADDR,
  RTM_DELLINK,
  RTM_DELNEIGH,
  RTM_DELROUTE,
  RTM_NEWADDR,
  RTM_NEWLINK,
  RTM_NEWNEIGH,
  RTM_NEWROUTE,
} from "./rtnetlink.ts";

/** RTNLGRP_LINK, _NEIGH (FDB entries too), _IPV4_IFADDR, _IPV4_ROUTE, _IPV6_IFADDR, _IPV6_ROUTE. */
export const eventGroups = [1, 3, 5, 7, 9, 11] as const;

export type KernelEvent = { readonly gone: boolean } & (
  | { readonly what: "link"; readonly link: ReturnType<typeof readLink> }
  | { readonly what: "address"; readonly address: ReturnType<typeof readAddress> }
  | { readonly what: "route"; readonly routes: readonly RouteEntry[] }
  | { readonly what: "neighbour"; readonly neighbour: ReturnType<typeof readNeighbour> }
  | { readonly what: "forwarding"; readonly entry: NonNullable<ReturnType<typeof readForwarding>> }
);

/** Reads a notification; `undefined` for one of another kind. Throws `MalformedError`. */
export function readEvent(reply: Reply): KernelEvent | undefined {
  switch (reply.type) {
    case RTM_NEWLINK:
    case RTM_DELLINK:
      return { what: "link", gone: reply.type === RTM_DELLINK, link: readLink(reply) };
    case RTM_NEWADDR:
    case RTM_DELADDR:
      return { what: "address", gone: reply.type === RTM_DELADDR, address: readAddress(reply) };
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
      return { what: "route", gone: reply.type === RTM_DELROUTE, routes: readAnyRoute(reply) };
    case RTM_NEWNEIGH:
    case RTM_DELNEIGH: {
      const gone = reply.type === RTM_DELNEIGH;
      const entry = readForwarding(reply);
      return entry ? { what: "forwarding", gone, entry } : { what: "neighbour", gone, neighbour: readNeighbour(reply) };
    }
    default:
      return undefined;
  }
}

/** The port in a message's header: of the socket that an answer is for, or whose request caused a notification. */
export function portOf({ payload }: Pick<Reply, "payload">): number {
  return i32Of(new Uint8Array(payload.buffer, payload.byteOffset - 4, 4));
}

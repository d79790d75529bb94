/**
 * What the kernel tells about the node's links, addresses and routes, in the plan's words: names for indexes. What this process changed itself is
 * left out, as far as the kernel names the port whose request it was.
 */
import { type EventSocket, isErrno, type Sys } from "../../host/sys.ts";
import { eventGroups, type KernelEvent, portOf, readEvent } from "../../netlink/events.ts";
import { getLink, readLink } from "../../netlink/link.ts";
import { decodeDatagram } from "../../netlink/message.ts";
import type { RouteEntry } from "../../netlink/route.ts";
import { identityOf } from "../../plan/identity.ts";
import type { NodeChange, NodeEvent } from "../../plan/node-event.ts";
import type { NodeResource } from "../../plan/node-plan.ts";
import type { NetlinkConnection } from "../connection.ts";

/** What a plan has to do with an event. */
export interface Interest {
  /** The links that the plan names. */
  readonly links: ReadonlySet<string>;
  /** The tunnel devices. */
  readonly tunnels: ReadonlySet<string>;
  /** Its resources by identity. */
  readonly resources: ReadonlyMap<string, NodeResource>;
  /** Whether a route is in a scope. */
  readonly isMember: (entry: RouteEntry) => boolean;
}

export interface Events {
  readonly events: readonly NodeEvent[];
  /** Whether the kernel may no longer hold the plan. */
  readonly touchesPlan: boolean;
}

export class EventReader {
  readonly socket: EventSocket;
  readonly #connection: NetlinkConnection;
  readonly #ownPort: number;
  readonly #names = new Map<number, string>();

  constructor(sys: Sys, connection: NetlinkConnection) {
    this.#connection = connection;
    const [reply] = connection.request(getLink("lo")).replies;
    this.#ownPort = reply === undefined ? -1 : portOf(reply);
    this.socket = sys.openEvents(eventGroups);
  }

  /** Everything that has arrived. */
  read(interest: Interest): Events {
    const events: NodeEvent[] = [];
    let touchesPlan = false;
    for (;;) {
      let datagram: Uint8Array;
      try {
        datagram = this.socket.receive(0);
      } catch (error) {
        if (isErrno(error, "ETIMEDOUT")) return { events, touchesPlan };
        if (!isErrno(error, "ENOBUFS")) throw error;
        events.push({ event: "lost" });
        touchesPlan = true;
        continue;
      }
      for (const reply of decodeDatagram(datagram)) {
        const told = readEvent(reply);
        if (told === undefined) continue;
        if (told.what === "link") this.#learn(told);
        if (portOf(reply) === this.#ownPort) continue;
        for (const [event, isOfPlan] of this.#inWords(told, interest)) {
          events.push(event);
          touchesPlan ||= isOfPlan;
        }
      }
    }
  }

  #learn({ link: { index, name }, gone }: Extract<KernelEvent, { what: "link" }>): void {
    if (gone) this.#names.delete(index);
    else this.#names.set(index, name);
  }

  #nameOf(index: number): string {
    const known = this.#names.get(index);
    if (known !== undefined) return known;
    const [reply] = this.#connection.request(getLink(index)).replies;
    if (reply === undefined) return `link ${index}`;
    const { name } = readLink(reply);
    this.#names.set(index, name);
    return name;
  }

  /** Each with whether it is about what the plan wants. Nothing for what concerns neither the plan nor all of the node. */
  #inWords(told: KernelEvent, interest: Interest): readonly (readonly [NodeEvent, boolean])[] {
    const change = told.gone ? "gone" : "new";
    const { links, tunnels, resources } = interest;
    const at = "host";
    switch (told.what) {
      case "link": {
        const { name, index, up, mtu, mac } = told.link;
        const event = { event: "link", change, name, index, up, mtu, ...(mac !== undefined && { mac }) } as const;
        return [[event, links.has(name)]];
      }
      case "address": {
        const { index, address } = told.address;
        const link = this.#nameOf(index);
        const isPlanned = resources.has(identityOf({ kind: "address", at, link, address }));
        // On another link of the plan it may change which routes the kernel accepts, or has removed.
        const isOfPlan = tunnels.has(link) ? told.gone && isPlanned : links.has(link);
        return [[{ event: "address", change, link, address }, isOfPlan]];
      }
      case "route":
        return told.routes.flatMap((entry) => this.#routeInWords(entry, change, interest));
      case "neighbour": {
        const { index, address, mac, permanent } = told.neighbour;
        const link = this.#nameOf(index);
        if (address === undefined || !tunnels.has(link)) return [];
        const planned = resources.get(identityOf({ kind: "neighbour", at, link, address, mac: "" }));
        const isRight = permanent && planned?.kind === "neighbour" && planned.mac === mac;
        if (told.gone ? planned === undefined : isRight) return [];
        const event = { event: "neighbour", change, link, address, ...(mac !== undefined && { mac }) } as const;
        return [[event, planned !== undefined]];
      }
      // The kernel does not name the port for these, so that own changes are known by what they make.
      case "forwarding": {
        const { index, mac, destination } = told.entry;
        const link = this.#nameOf(index);
        if (!tunnels.has(link)) return [];
        const planned = resources.get(identityOf({ kind: "fdb", at, link, mac, destination: "" }));
        const isRight = planned?.kind === "fdb" && planned.destination === destination;
        if (told.gone ? planned === undefined : isRight) return [];
        const event = { event: "fdb", change, link, mac, ...(destination !== undefined && { destination }) } as const;
        return [[event, planned !== undefined]];
      }
    }
  }

  #routeInWords(
    entry: RouteEntry,
    change: NodeChange,
    { resources, isMember }: Interest,
  ): readonly (readonly [NodeEvent, boolean])[] {
    const { destination, table, priority = 0, protocol = 0, index, gateway } = entry;
    const isPlanned = resources.has(identityOf({ kind: "route", at: "host", link: "", destination, table, priority }));
    if (!isPlanned && !isMember(entry)) return [];
    const event = {
      event: "route",
      change,
      destination,
      protocol,
      ...(index !== undefined && { link: this.#nameOf(index) }),
      ...(gateway !== undefined && { gateway }),
    } as const;
    return [[event, isPlanned]];
  }
}

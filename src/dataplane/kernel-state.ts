/** The kernel's objects in one network namespace, each kind read once, on first use. Changes nothing. */
import type { Family } from "../net/address.ts";
import { dumpAddresses, type InterfaceAddress, readAddress } from "../netlink/address.ts";
import { dumpFilters, type FilterEntry, readFilter } from "../netlink/filter.ts";
import { getLink, type Link, readLink } from "../netlink/link.ts";
import type { Reply } from "../netlink/message.ts";
import { dumpNeighbours, type NeighbourEntry, readNeighbour } from "../netlink/neighbour.ts";
import { dumpQdiscs, type QdiscEntry, readQdisc } from "../netlink/qdisc.ts";
import { dumpBlackholes, dumpRoutes, type RouteEntry, readBlackhole, readRange, readRoute } from "../netlink/route.ts";
import { dumpRules, type RuleEntry, readRulesAt } from "../netlink/rule.ts";
import type { NetlinkConnection } from "./connection.ts";
import { hasErrno, KernelError } from "./errors.ts";

export class KernelState {
  readonly #connection: () => NetlinkConnection;
  readonly #seen = new Map<string, unknown>();

  constructor(connection: () => NetlinkConnection) {
    this.#connection = connection;
  }

  /** By name or by index; `undefined` if there is no such link. */
  link(link: string | number): Link | undefined {
    return this.#once(`link ${typeof link} ${link}`, () => findLink(this.#connection(), link));
  }

  /** The name of the link with this index, or a placeholder. */
  linkName(index: number | undefined): string {
    return index === undefined ? "nothing" : (this.link(index)?.name ?? `link ${index}`);
  }

  addresses(family: Family): readonly InterfaceAddress[] {
    return this.#once(`addresses ${family}`, () =>
      this.#connection().dump(dumpAddresses(family), ["list", "addresses"]).map(readAddress),
    );
  }

  /** The routes over one link, or all routes: a router may have very many. */
  routes(family: Family, index?: number): readonly RouteEntry[] {
    return this.#once(`routes ${family} ${index}`, () => {
      const routes = this.#connection().dump(dumpRoutes(family, index), ["list", "routes"]).flatMap(readRoute);
      return index === undefined ? routes : routes.filter((route) => route.index === index);
    });
  }

  /** The destinations of all routes in the main table. */
  ranges(family: Family): readonly string[] {
    return this.#once(`ranges ${family}`, () =>
      this.#connection().dump(dumpRoutes(family), ["list", "routes"]).flatMap(readRange),
    );
  }

  /** The destinations of blackhole routes with that protocol. */
  blackholes(family: Family, protocol: number): readonly string[] {
    return this.#once(`blackholes ${family} ${protocol}`, () =>
      this.#connection()
        .dump(dumpBlackholes(family, protocol), ["list", "routes"])
        .flatMap((reply) => readBlackhole(reply, protocol)),
    );
  }

  /** Those with this priority. */
  rules(family: Family, priority: number): readonly RuleEntry[] {
    return this.#once(`rules ${family} ${priority}`, () => {
      const all = this.#once(`rules ${family}`, () => this.#connection().dump(dumpRules(family), ["list", "rules"]));
      return readRulesAt(all, [priority]);
    });
  }

  neighbours(family: Family): readonly NeighbourEntry[] {
    return this.#once(`neighbours ${family}`, () =>
      this.#connection().dump(dumpNeighbours(family), ["list", "neighbours"]).map(readNeighbour),
    );
  }

  qdiscs(index: number): readonly QdiscEntry[] {
    return this.#ofLink("qdiscs", index, dumpQdiscs(index), readQdisc);
  }

  /** The filters at the ingress hook. */
  filters(index: number): readonly FilterEntry[] {
    return this.#ofLink("filters", index, dumpFilters(index), readFilter);
  }

  #ofLink<T extends { readonly index: number }>(
    what: string,
    index: number,
    request: Parameters<NetlinkConnection["dump"]>[0],
    read: (reply: Reply) => T,
  ): readonly T[] {
    return this.#once(`${what} ${index}`, () => {
      const entries = this.#connection()
        .dump(request, ["list", `${what}`])
        .map(read);
      return entries.filter((entry) => entry.index === index);
    });
  }

  #once<T>(key: string, look: () => T): T {
    if (!this.#seen.has(key)) this.#seen.set(key, look());
    return this.#seen.get(key) as T;
  }
}

/** Requests one link; `undefined` if there is no such link. */
export function findLink(connection: NetlinkConnection, link: string | number): Link | undefined {
  const outcome = connection.request(getLink(link));
  const reply = outcome.replies[0];
  if (hasErrno(outcome, "ENODEV")) return undefined;
  if (outcome.errno !== 0 || reply === undefined) throw new KernelError(["look for", `link ${link}`], outcome);
  return readLink(reply);
}

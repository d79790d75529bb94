/**
 * Reads what is: links and addresses of the host and the sandbox, the node's routes, networks, listeners and tables, and what its kernel can do.
 * A plan depends on these facts; nothing here changes anything. Besides the executor, the only interface of this directory.
 */
import type { CoreError } from "../errors/core-error.ts";
import type { Sys } from "../host/sys.ts";
import type { Family, TableFamily } from "../net/address.ts";
import type { NodeNetworks } from "../net/node-networks.ts";
import type { Link } from "../netlink/link.ts";
import type { NftResource } from "../plan/nft.ts";
import type { Place } from "../plan/resource.ts";
import type { NetlinkConnection } from "./connection.ts";
import { hasIptables, mayHaveNatChain } from "./iptables/programs.ts";
import { findLink } from "./kernel-state.ts";
import { findVethEnds, type VethEnds } from "./links/peer.ts";
import { Namespaces } from "./namespaces.ts";
import { hasNft, type NftName } from "./nftables/has.ts";
import { hasRoute, isInNetwork, NodeAddresses } from "./node/addresses.ts";
import { findListeners, type HostPort, type TakenPort } from "./node/listeners.ts";
import { readDestinations, readNodeNetworks } from "./node/networks.ts";
import { interfaceOf, isLocal, isOnHost } from "./node/route-lookup.ts";
import { type Probe, probe, probeTables } from "./probe.ts";

export class NodeFacts {
  readonly #sys: Sys;
  readonly #namespaces: Namespaces;

  /** `namespaces`: those of an operation that has connections open; without them, `link`, `hasRoute` and `isInNetwork` leave one open. */
  constructor(sys: Sys, namespaces = new Namespaces(sys)) {
    this.#sys = sys;
    this.#namespaces = namespaces;
  }

  /** The link with this name; `undefined` if there is none. `apply` does not read it again. */
  link(place: Place, name: string): Link | undefined {
    const found = findLink(this.#namespaces.connection(place), name);
    if (found !== undefined) this.#namespaces.learn(place, found);
    return found;
  }

  /** The two ends of a veth, found from the sandbox's; `undefined` if the sandbox has no link with that name. */
  vethEnds(ifname: string): VethEnds | undefined {
    return findVethEnds(this.#namespaces, ifname);
  }

  /** The addresses of a link, with their prefix lengths. */
  linkAddresses(place: Place, index: number, family: Family): readonly string[] {
    const all = this.#namespaces.state(place).addresses(family);
    return all.filter((one) => one.index === index).map(({ address }) => address);
  }

  /** Checks addresses one by one, over a connection that the caller closes. `routed`: pods have routes of their own. */
  addresses({ routed }: { readonly routed: boolean }): NodeAddresses {
    return new NodeAddresses(this.#sys, { routed });
  }

  /** Whether it is an address of the node. */
  isLocal(address: string): boolean {
    return isLocal(address, this.#sys);
  }

  networks(family: Family): NodeNetworks {
    return readNodeNetworks(this.#sys, family);
  }

  /** Whether a range is part of a network of the node, according to the routes to these addresses of it; `undefined` if these do not show it. */
  isInNetwork(range: string, addresses: readonly string[]): boolean | undefined {
    return isInNetwork(range, addresses, this.#connection());
  }

  /** The interface that leads to an address; `undefined` if the route has a gateway. */
  interfaceOf(address: string): string | undefined {
    return interfaceOf(address, this.#sys);
  }

  /** Whether an interface leads to the address without a gateway. */
  isOnHost(address: string): boolean {
    return isOnHost(address, this.#sys);
  }

  /** Whether the main table has a route, own or foreign, to exactly this range; `undefined` for IPv6, where only a dump would show it. */
  hasRoute(range: string): boolean | undefined {
    return hasRoute(range, this.#connection());
  }

  /** The destinations of all routes. */
  destinations(family: Family): readonly string[] {
    return readDestinations(this.#sys, family);
  }

  /** The sockets that now receive packets for these ports. */
  listeners(ports: readonly HostPort[]): readonly TakenPort[] {
    return findListeners(ports, this.#sys);
  }

  /** Whether each nf_tables object exists, with any owner. */
  hasNft(objects: readonly NftName[]): readonly boolean[] {
    return hasNft(objects, this.#sys);
  }

  /** Whether the programs of iptables are installed. */
  hasIptables(family: TableFamily): boolean {
    return hasIptables(family, this.#sys);
  }

  /** Whether the family's table `nat` of iptables may have this chain, without running a program. */
  mayHaveNatChain(family: TableFamily, chain: string): boolean {
    return mayHaveNatChain(family, chain, this.#sys);
  }

  /** Throws an error that names the first feature that the kernel lacks, and its module. Leaves nothing behind. */
  probe(what: Probe): void {
    probe(what, this.#sys);
  }

  /** Why the kernel cannot create the tables, per family; empty if it can. `modules`: what they need. */
  probeTables(resources: readonly NftResource[], modules: readonly string[]): ReadonlyMap<TableFamily, CoreError> {
    return probeTables(this.#sys, resources, modules);
  }

  #connection(): NetlinkConnection {
    return this.#namespaces.connection("host");
  }
}

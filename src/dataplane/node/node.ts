/** Reads facts about the node from the kernel, and deletes flows to its host ports. */
import type { Sys } from "../../host/sys.ts";
import type { Family, TableFamily } from "../../net/address.ts";
import type { NodeNetworks } from "../../net/node-networks.ts";
import type { Flow, FlowFilter } from "../../netlink/conntrack.ts";
import type { NetlinkConnection } from "../connection.ts";
import { hasIptables, mayHaveNatChain } from "../iptables/programs.ts";
import { hasRoute, isInNetwork, NodeAddresses } from "./addresses.ts";
import { forgetFlows, forgetFlowsThat } from "./conntrack.ts";
import { findListeners, type HostPort, type TakenPort } from "./listeners.ts";
import { readDestinations, readNodeNetworks } from "./networks.ts";
import { interfaceOf, isLocal, isOnHost } from "./route-lookup.ts";

export class Node {
  readonly #sys: Sys;
  readonly #connection: () => NetlinkConnection;

  /** `connection`: one in the host's namespace, for questions of an operation that has it open anyway. */
  constructor(sys: Sys, connection: () => NetlinkConnection) {
    this.#sys = sys;
    this.#connection = connection;
  }

  /** The interface that leads to an address; `undefined` if the route has a gateway. */
  interfaceOf(address: string): string | undefined {
    return interfaceOf(address, this.#sys);
  }

  /** Whether an interface leads to the address without a gateway. */
  isOnHost(address: string): boolean {
    return isOnHost(address, this.#sys);
  }

  /** Whether it is an address of the node. */
  isLocal(address: string): boolean {
    return isLocal(address, this.#sys);
  }

  /** Whether a range is part of a network of the node, according to the routes to these addresses of it; `undefined` if these do not show it. */
  isInNetwork(range: string, addresses: readonly string[]): boolean | undefined {
    return isInNetwork(range, addresses, this.#connection());
  }

  /** Whether the main table has a route, own or foreign, to exactly this range; `undefined` for IPv6, where only a dump would show it. */
  hasRoute(range: string): boolean | undefined {
    return hasRoute(range, this.#connection());
  }

  /** Whether the programs of iptables are installed. */
  hasIptables(family: TableFamily): boolean {
    return hasIptables(family, this.#sys);
  }

  /** Whether the family's table `nat` of iptables may have this chain, without running a program. */
  mayHaveNatChain(family: TableFamily, chain: string): boolean {
    return mayHaveNatChain(family, chain, this.#sys);
  }

  networks(family: Family): NodeNetworks {
    return readNodeNetworks(this.#sys, family);
  }

  /** The destinations of all routes. */
  destinations(family: Family): readonly string[] {
    return readDestinations(this.#sys, family);
  }

  /** Checks addresses one by one, over a connection that the caller closes. `routed`: pods have routes of their own. */
  addresses({ routed }: { readonly routed: boolean }): NodeAddresses {
    return new NodeAddresses(this.#sys, { routed });
  }

  /** The sockets that now receive packets for these ports. */
  listeners(ports: readonly HostPort[]): readonly TakenPort[] {
    return findListeners(ports, this.#sys);
  }

  /** Ends flows to host ports. */
  forgetFlows(family: TableFamily, filters: readonly FlowFilter[]): void {
    forgetFlows(family, filters, this.#sys);
  }

  /** Deletes the flows for which `isOver` is true; dumps all flows, for conditions that no kernel filter can express. */
  forgetFlowsThat(family: TableFamily, isOver: (flow: Flow) => boolean): void {
    forgetFlowsThat(family, isOver, this.#sys);
  }
}

/** Everything that the network of a node depends on. The plan is a pure function of it. */

import type { NetworkEndpoint } from "../../cluster-network/network-endpoint.ts";
import type { NetworkNode } from "../../cluster-network/network-node.ts";
import type { NetworkPool } from "../../cluster-network/network-pool.ts";
import type { NetworkSettings } from "../../cluster-network/network-settings.ts";
import type { NftResource } from "../../plan/nft.ts";
import type { Sysctl } from "../../plan/resource.ts";
import type { BlockFacts } from "./block-facts.ts";

/** An interface of this node that is up. */
export interface LocalLink {
  readonly name: string;
  readonly mtu: number;
  /** Canonical, with prefix lengths. */
  readonly addresses: readonly string[];
}

/** The order of the lists means nothing. */
export interface Snapshot {
  /** This node's name. */
  readonly node: string;
  readonly pools: readonly NetworkPool[];
  readonly blocks: readonly BlockFacts[];
  /** By name, this node included. */
  readonly nodes: ReadonlyMap<string, NetworkNode>;
  readonly links: readonly LocalLink[];
  readonly settings: NetworkSettings;
  /** This node's, whose host interfaces exist; none unless the settings give them a meaning. */
  readonly endpoints: readonly NetworkEndpoint[];
  /** Whether BGP carries the routes of pools without encapsulation, unless the settings say otherwise. */
  readonly usesBgp: boolean;
  /** Whether there is a network for IPv6. */
  readonly hasIpv6: boolean;
}

/** Objects that the plugins create too, which the plan takes unchanged. */
export interface PluginObjects {
  /** What makes the node forward packets (`src/plugin/forwarding.ts`). */
  readonly forwarding: readonly Sysctl[];
  /** What masquerades packets from the pools: the same objects as the plugins'. */
  readonly nat: readonly NftResource[];
}

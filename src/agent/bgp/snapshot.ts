/** What this node's BIRD configuration is made of: the cluster's objects, as plain data. */
import type { Labels } from "../../ipam/model/selector.ts";
import type { Family } from "../../net/address.ts";
import type { BgpConfiguration, BgpFilter, BgpPeer } from "./resources.ts";

export interface Named<T> {
  readonly name: string;
  readonly spec: T;
}

export interface BgpNode {
  readonly name: string;
  readonly labels: Labels;
  /** Per family, with the prefix length of the node's subnet: `"172.31.250.1/24"`. */
  readonly addresses: Readonly<Partial<Record<Family, string>>>;
  readonly asNumber?: number | undefined;
  /** The node is a route reflector of the cluster with this ID (an IPv4 address, RFC 4456). */
  readonly routeReflectorClusterId?: string | undefined;
}

export interface BgpPool {
  readonly cidr: string;
  /** Packets to it go through a tunnel, whose routes `tortie-net` makes. */
  readonly isTunnelled: boolean;
  readonly disableBGPExport: boolean;
}

export interface BgpSnapshot {
  /** This node's name. */
  readonly node: string;
  /** As the settings have it: an ID, or `"hash"`. */
  readonly routerId?: string | undefined;
  readonly nodes: readonly BgpNode[];
  /** `default`, and `node.<name>` for single nodes. */
  readonly configurations: readonly Named<BgpConfiguration>[];
  readonly peers: readonly Named<BgpPeer>[];
  readonly filters: readonly Named<BgpFilter>[];
  readonly pools: readonly BgpPool[];
  /** This node's confirmed blocks. */
  readonly blocks: readonly string[];
  /** Prefixes of services that this node announces (`services.ts`). */
  readonly services: readonly string[];
  /** Values of secrets, by `<name>/<key>`. */
  readonly secrets: ReadonlyMap<string, string>;
}

const defaultAsNumber = 64_512;
export const defaultPort = 179;

/** This node; `undefined`: the datastore does not have it. */
export function ownNode({ node, nodes }: BgpSnapshot): BgpNode | undefined {
  return nodes.find(({ name }) => name === node);
}

/** The settings of one node: its own BGPConfiguration before the default one. */
export class NodeSettings {
  readonly #own: BgpConfiguration | undefined;
  readonly #common: BgpConfiguration | undefined;
  readonly #asNumber: number | undefined;

  constructor({ configurations }: BgpSnapshot, node: Pick<BgpNode, "name" | "asNumber">) {
    this.#own = configurations.find(({ name }) => name === `node.${node.name}`)?.spec;
    this.#common = configurations.find(({ name }) => name === "default")?.spec;
    this.#asNumber = node.asNumber;
  }

  get asNumber(): number {
    return this.#asNumber ?? this.#own?.asNumber ?? this.#common?.asNumber ?? defaultAsNumber;
  }

  get listenPort(): number {
    return this.#own?.listenPort ?? this.#common?.listenPort ?? defaultPort;
  }

  /** Whether BGP listens on the node's address alone. */
  get bindsToAddress(): boolean {
    return (this.#own ?? this.#common)?.bindMode === "NodeIP";
  }

  get logSeverity(): string | undefined {
    return this.#own?.logSeverityScreen ?? this.#common?.logSeverityScreen;
  }

  get ignoredInterfaces(): readonly string[] {
    return [...(this.#common?.ignoredInterfaces ?? []), ...(this.#own?.ignoredInterfaces ?? [])];
  }

  /** The cluster's settings; only the default configuration has them. */
  get cluster(): BgpConfiguration | undefined {
    return this.#common;
  }

  get advertisements(): BgpConfiguration["prefixAdvertisements"] {
    return [...(this.#common?.prefixAdvertisements ?? []), ...(this.#own?.prefixAdvertisements ?? [])];
  }
}

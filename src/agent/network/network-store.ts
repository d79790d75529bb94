/** The objects of the cluster that its network depends on, followed in memory: of each only what routes need. */

import { type NetworkEndpoint, networkEndpointOf } from "../../cluster-network/network-endpoint.ts";
import { type NetworkNode, networkNodeOf } from "../../cluster-network/network-node.ts";
import { type NetworkPool, networkPoolOf } from "../../cluster-network/network-pool.ts";
import { faultsOfSettings, type NetworkSettings, resolveSettings } from "../../cluster-network/network-settings.ts";
import type { AsyncDatastore, Following } from "../../store/async-datastore.ts";
import type { StoredObject } from "../../store/object.ts";
import type { StoreError } from "../../store/store-error.ts";
import { followKept, Kept } from "../datastore/kept.ts";
import { type BlockFacts, blockFactsOf } from "./block-facts.ts";

export interface NetworkStoreOptions {
  readonly node: string;
  /** The agent's own settings. */
  readonly settings: NetworkSettings;
  /** Called after each change. */
  readonly onChange: () => void;
  readonly onTrouble: (error: StoreError) => void;
}

export class NetworkStore {
  readonly #blocks = new Kept<BlockFacts>();
  readonly #nodes = new Kept<NetworkNode>();
  readonly #pools = new Kept<NetworkPool>();
  readonly #configurations = new Kept<StoredObject>();
  readonly #datastore: AsyncDatastore;
  readonly #options: NetworkStoreOptions;
  #endpoints: { readonly kept: Kept<NetworkEndpoint>; readonly following: Following } | undefined;

  constructor(datastore: AsyncDatastore, options: NetworkStoreOptions) {
    this.#datastore = datastore;
    this.#options = options;
    const { node, onChange } = options;
    const onConfiguration = () => {
      this.#followEndpoints();
      onChange();
    };
    followKept(datastore, "IPPool", this.#pools, networkPoolOf, options);
    followKept(datastore, "Node", this.#nodes, networkNodeOf, options);
    followKept(datastore, "IPAMBlock", this.#blocks, (object) => blockFactsOf(object, node), options);
    const asItIs = (object: StoredObject) => object;
    followKept(datastore, "FelixConfiguration", this.#configurations, asItIs, {
      ...options,
      onChange: onConfiguration,
      mayBeAbsent: true,
    });
  }

  /** Only while what they ask for has a meaning: a cluster may have many endpoints. A role of an earlier release may not list pods. */
  #followEndpoints(): void {
    const { floatingIPs, workloadSourceSpoofing } = this.settings;
    const hasMeaning = floatingIPs === "Enabled" || workloadSourceSpoofing === "Any";
    const isEnabled = this.#configurations.isTold && hasMeaning;
    if (isEnabled === (this.#endpoints !== undefined)) return;
    this.#endpoints?.following.close();
    this.#endpoints = undefined;
    if (!isEnabled) return;
    const { node } = this.#options;
    const kept = new Kept<NetworkEndpoint>();
    const options = { ...this.#options, filter: { node }, mayBeAbsent: true };
    const decode = (object: StoredObject) => networkEndpointOf(object, node);
    this.#endpoints = { kept, following: followKept(this.#datastore, "WorkloadEndpoint", kept, decode, options) };
  }

  /** Whether each kind was listed once: before that, what is missing may only not have arrived yet. */
  get isComplete(): boolean {
    const kinds = [this.#blocks, this.#nodes, this.#pools, this.#configurations, this.#endpoints?.kept];
    return kinds.every((kept) => kept === undefined || kept.isTold);
  }

  get pools(): readonly NetworkPool[] {
    return this.#pools.values();
  }

  get blocks(): readonly BlockFacts[] {
    return this.#blocks.values();
  }

  /** By name. */
  get nodes(): ReadonlyMap<string, NetworkNode> {
    return this.#nodes.all;
  }

  /** The agent's own settings before those of the cluster. */
  get settings(): NetworkSettings {
    return resolveSettings(this.#options.settings, this.#configurations.values(), this.#options.node);
  }

  /** What of them is not valid. */
  get settingFaults(): readonly string[] {
    return faultsOfSettings(this.#configurations.values(), this.#options.node);
  }

  /** This node's endpoints that ask for something; none unless the settings give that a meaning. */
  get endpoints(): readonly NetworkEndpoint[] {
    return this.#endpoints?.kept.values() ?? [];
  }
}

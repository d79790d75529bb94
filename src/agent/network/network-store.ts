/** The objects of the cluster that its network depends on, followed in memory: of each only what routes need. */
import type { AsyncDatastore } from "../../store/async-datastore.ts";
import type { StoredObject } from "../../store/object.ts";
import type { StoreError } from "../../store/store-error.ts";
import { followKept, Kept } from "../datastore/kept.ts";
import { type BlockFacts, blockFactsOf } from "./block-facts.ts";
import { type NetworkNode, networkNodeOf } from "./network-node.ts";
import { type NetworkPool, networkPoolOf } from "./network-pool.ts";

export interface NetworkStoreOptions {
  readonly node: string;
  /** Called after each change. */
  readonly onChange: () => void;
  readonly onTrouble: (error: StoreError) => void;
}

export class NetworkStore {
  readonly #blocks = new Kept<BlockFacts>();
  readonly #nodes = new Kept<NetworkNode>();
  readonly #pools = new Kept<NetworkPool>();
  readonly #configurations = new Kept<StoredObject>();

  constructor(datastore: AsyncDatastore, { node, onChange, onTrouble }: NetworkStoreOptions) {
    const options = { onChange, onTrouble };
    followKept(datastore, "IPPool", this.#pools, networkPoolOf, options);
    followKept(datastore, "Node", this.#nodes, networkNodeOf, options);
    followKept(datastore, "IPAMBlock", this.#blocks, (object) => blockFactsOf(object, node), options);
    const asItIs = (object: StoredObject) => object;
    followKept(datastore, "FelixConfiguration", this.#configurations, asItIs, { ...options, mayBeAbsent: true });
  }

  /** Whether each kind was listed once: before that, what is missing may only not have arrived yet. */
  get isComplete(): boolean {
    return [this.#blocks, this.#nodes, this.#pools, this.#configurations].every(({ isTold }) => isTold);
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

  get configurations(): readonly StoredObject[] {
    return this.#configurations.values();
  }
}

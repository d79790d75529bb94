/** The objects of the cluster that its network depends on, followed in memory: of each only what routes need. */
import type { AsyncDatastore } from "../../store/async-datastore.ts";
import { keyOf } from "../../store/key.ts";
import type { Kind, StoredObject } from "../../store/object.ts";
import { nameOf } from "../../store/object-name.ts";
import type { StoreError } from "../../store/store-error.ts";
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
  readonly #onChange: () => void;

  constructor(datastore: AsyncDatastore, { node, onChange, onTrouble }: NetworkStoreOptions) {
    this.#onChange = onChange;
    this.#follow(datastore, "IPPool", this.#pools, networkPoolOf, onTrouble);
    this.#follow(datastore, "Node", this.#nodes, networkNodeOf, onTrouble);
    this.#follow(datastore, "IPAMBlock", this.#blocks, (object) => blockFactsOf(object, node), onTrouble);
    this.#follow(
      datastore,
      "FelixConfiguration",
      this.#configurations,
      (object) => object,
      (error) => {
        // A cluster may have no such kind.
        if (error.kind !== "timeout") this.#configurations.tellAllUnlessTold([]);
        onTrouble(error);
      },
    );
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

  #follow<T>(
    datastore: AsyncDatastore,
    kind: Kind,
    kept: Kept<T>,
    decode: (object: StoredObject) => T | undefined,
    onTrouble: (error: StoreError) => void,
  ): void {
    const changed = () => this.#onChange();
    datastore.follow(kind, {
      all: (objects) => {
        kept.tellAll(objects.map((object) => [nameOf(keyOf(object)), decode(object)]));
        changed();
      },
      set: (object) => {
        if (kept.tell(nameOf(keyOf(object)), decode(object))) changed();
      },
      gone: (key) => {
        if (kept.tell(nameOf(key), undefined)) changed();
      },
      trouble: (error) => {
        onTrouble(error);
        changed();
      },
    });
  }
}

/** The objects of one kind. */
class Kept<T> {
  #all = new Map<string, T>();
  isTold = false;

  get all(): ReadonlyMap<string, T> {
    return this.#all;
  }

  values(): readonly T[] {
    return [...this.#all.values()];
  }

  tellAll(objects: readonly (readonly [string, T | undefined])[]): void {
    this.isTold = true;
    this.#all = new Map(objects.flatMap(([name, object]) => (object === undefined ? [] : [[name, object] as const])));
  }

  tellAllUnlessTold(objects: readonly (readonly [string, T | undefined])[]): void {
    if (!this.isTold) this.tellAll(objects);
  }

  /** Whether that changed anything: a node's heartbeat and a pod's address mostly do not. */
  tell(name: string, object: T | undefined): boolean {
    const before = this.#all.get(name);
    if (JSON.stringify(before) === JSON.stringify(object)) return false;
    if (object === undefined) this.#all.delete(name);
    else this.#all.set(name, object);
    return true;
  }
}

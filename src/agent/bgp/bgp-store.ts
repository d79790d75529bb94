/** The objects of the cluster that BGP depends on, followed in memory. */
import type { AsyncDatastore } from "../../store/async-datastore.ts";
import type { StoredObject } from "../../store/object.ts";
import type { StoreError } from "../../store/store-error.ts";
import { type FollowOptions, followKept, Kept } from "../datastore/kept.ts";
import { bgpNodeOf, bgpPoolOf, ownBlockOf, type Read, readConfiguration, readFilter, readPeer } from "./objects.ts";
import type { BgpConfiguration, BgpFilter, BgpPeer } from "./resources.ts";
import { readSecrets } from "./secrets.ts";
import { servicePrefixes } from "./services.ts";
import type { BgpNode, BgpPool, BgpSnapshot, Named } from "./snapshot.ts";

export interface BgpStoreOptions {
  readonly node: string;
  readonly routerId: string | undefined;
  /** Where the passwords are (`secrets.ts`). */
  readonly secretsDirectory: string;
  /** Called after each change. */
  readonly onChange: () => void;
  readonly onTrouble: (error: StoreError) => void;
}

export class BgpStore {
  readonly #options: BgpStoreOptions;
  readonly #nodes = new Kept<BgpNode>();
  readonly #pools = new Kept<BgpPool>();
  readonly #blocks = new Kept<string>();
  readonly #configurations = new Kept<Read<BgpConfiguration>>();
  readonly #peers = new Kept<Read<BgpPeer>>();
  readonly #filters = new Kept<Read<BgpFilter>>();

  constructor(datastore: AsyncDatastore, options: BgpStoreOptions) {
    this.#options = options;
    const { node, onChange, onTrouble } = options;
    const follow = <T>(
      kept: Kept<T>,
      kind: StoredObject["kind"],
      decode: (object: StoredObject) => T | undefined,
      more: Partial<FollowOptions> = {},
    ) => followKept(datastore, kind, kept, decode, { onChange, onTrouble, ...more });
    follow(this.#nodes, "Node", bgpNodeOf);
    follow(this.#pools, "IPPool", bgpPoolOf);
    follow(this.#blocks, "BlockAffinity", ownBlockOf, { filter: { node } });
    follow(this.#configurations, "BGPConfiguration", readConfiguration, { mayBeAbsent: true });
    follow(this.#peers, "BGPPeer", readPeer, { mayBeAbsent: true });
    follow(this.#filters, "BGPFilter", readFilter, { mayBeAbsent: true });
  }

  /** Whether each kind was listed once: before that, what is missing may only not have arrived yet. */
  get isComplete(): boolean {
    const kinds = [this.#nodes, this.#pools, this.#blocks, this.#configurations, this.#peers, this.#filters];
    return kinds.every(({ isTold }) => isTold);
  }

  /** With sentences about the resources that are not valid. */
  read(): { readonly snapshot: BgpSnapshot; readonly faults: readonly string[] } {
    const { node, routerId, secretsDirectory } = this.#options;
    const configurations = valuesOf(this.#configurations);
    const peers = valuesOf(this.#peers);
    const cluster = configurations.find(({ name }) => name === "default")?.spec;
    const passwords = [...peers.map(({ spec }) => spec.password), cluster?.nodeMeshPassword];
    const nodes = this.#nodes.values();
    const labels = nodes.find(({ name }) => name === node)?.labels ?? {};
    const snapshot: BgpSnapshot = {
      ...{ node, routerId, nodes, configurations, peers },
      filters: valuesOf(this.#filters),
      pools: this.#pools.values(),
      blocks: this.#blocks.values(),
      services: servicePrefixes(cluster, labels),
      secrets: readSecrets(secretsDirectory, passwords),
    };
    const faults = [this.#configurations, this.#peers, this.#filters].flatMap(faultsOf);
    return { snapshot, faults };
  }
}

function valuesOf<T>(kept: Kept<Read<T>>): readonly Named<T>[] {
  return kept.values().flatMap((read) => ("value" in read ? [read.value] : []));
}

function faultsOf(kept: Kept<Read<unknown>>): readonly string[] {
  return kept.values().flatMap((read) => ("fault" in read ? [read.fault] : []));
}

/** The objects of the cluster that BGP depends on, followed in memory. */
import type { AsyncDatastore, Following } from "../../store/async-datastore.ts";
import type { StoredObject } from "../../store/object.ts";
import type { StoreError } from "../../store/store-error.ts";
import { type FollowOptions, followKept, Kept } from "../datastore/kept.ts";
import { bgpNodeOf, bgpPoolOf, ownBlockOf, type Read, readConfiguration, readFilter, readPeer } from "./objects.ts";
import type { BgpConfiguration, BgpFilter, BgpPeer } from "./resources.ts";
import { readSecrets } from "./secrets.ts";
import { localServiceOf, type Service, serviceOf } from "./service.ts";
import { needsServices, servicePrefixes } from "./services.ts";
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
  readonly #datastore: AsyncDatastore;
  #services: FollowedServices | undefined;

  constructor(datastore: AsyncDatastore, options: BgpStoreOptions) {
    this.#options = options;
    this.#datastore = datastore;
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
    const onConfiguration = () => {
      this.#followServices();
      onChange();
    };
    const ofConfiguration = { mayBeAbsent: true, onChange: onConfiguration };
    follow(this.#configurations, "BGPConfiguration", readConfiguration, ofConfiguration);
    follow(this.#peers, "BGPPeer", readPeer, { mayBeAbsent: true });
    follow(this.#filters, "BGPFilter", readFilter, { mayBeAbsent: true });
  }

  /** Only while the configuration has ranges for them: a cluster may have many services. A role of an earlier release may not list them. */
  #followServices(): void {
    const isNeeded = needsServices(this.#cluster);
    if (isNeeded === (this.#services !== undefined)) return;
    for (const following of this.#services?.followings ?? []) following.close();
    this.#services = isNeeded ? followServices(this.#datastore, this.#options) : undefined;
  }

  get #cluster(): BgpConfiguration | undefined {
    return valuesOf(this.#configurations).find(({ name }) => name === "default")?.spec;
  }

  /** Whether each kind was listed once: before that, what is missing may only not have arrived yet. */
  get isComplete(): boolean {
    const kinds = [this.#nodes, this.#pools, this.#blocks, this.#configurations, this.#peers, this.#filters];
    const ofServices = this.#services === undefined ? [] : [this.#services.services, this.#services.local];
    return [...kinds, ...ofServices].every(({ isTold }) => isTold);
  }

  /** With sentences about the resources that are not valid. */
  read(): { readonly snapshot: BgpSnapshot; readonly faults: readonly string[] } {
    const { node, routerId, secretsDirectory } = this.#options;
    const configurations = valuesOf(this.#configurations);
    const peers = valuesOf(this.#peers);
    const cluster = this.#cluster;
    const services = this.#services?.services.values() ?? [];
    const local = new Set(this.#services?.local.values());
    const passwords = [...peers.map(({ spec }) => spec.password), cluster?.nodeMeshPassword];
    const nodes = this.#nodes.values();
    const labels = nodes.find(({ name }) => name === node)?.labels ?? {};
    const snapshot: BgpSnapshot = {
      ...{ node, routerId, nodes, configurations, peers },
      filters: valuesOf(this.#filters),
      pools: this.#pools.values(),
      blocks: this.#blocks.values(),
      services: servicePrefixes(cluster, labels, { services, local }),
      secrets: readSecrets(secretsDirectory, passwords),
    };
    const faults = [this.#configurations, this.#peers, this.#filters].flatMap(faultsOf);
    return { snapshot, faults };
  }
}

interface FollowedServices {
  readonly services: Kept<Service>;
  /** By EndpointSlice. */
  readonly local: Kept<string>;
  readonly followings: readonly Following[];
}

function followServices(datastore: AsyncDatastore, { node, onChange, onTrouble }: BgpStoreOptions): FollowedServices {
  const services = new Kept<Service>();
  const local = new Kept<string>();
  const options = { onChange, onTrouble, mayBeAbsent: true };
  return {
    ...{ services, local },
    followings: [
      followKept(datastore, "Service", services, serviceOf, options),
      followKept(datastore, "EndpointSlice", local, (slice) => localServiceOf(slice, node), options),
    ],
  };
}

function valuesOf<T>(kept: Kept<Read<T>>): readonly Named<T>[] {
  return kept.values().flatMap((read) => ("value" in read ? [read.value] : []));
}

function faultsOf(kept: Kept<Read<unknown>>): readonly string[] {
  return kept.values().flatMap((read) => ("fault" in read ? [read.fault] : []));
}

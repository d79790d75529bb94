/**
 * What nodes leave behind that are gone, and handles without addresses: one elected agent releases them for the whole cluster.
 *
 *     the node is missing at every look of the grace period
 *       ─► fresh look: is it still missing? has a pod on it the address? ─► addresses ─► endpoints (etcd) ─► blocks and affinities
 *
 * **Two agents that do this at once do no harm**: every write compares the revision and the assignment.
 */
import { releaseBlock } from "../../ipam/model/affinity.ts";
import { readHandleContents } from "../../ipam/model/handle-contents.ts";
import { writeHandle } from "../../ipam/release/release.ts";
import type { AsyncDatastore } from "../../store/async-datastore.ts";
import type { StoredObject } from "../../store/object.ts";
import { driveAsync, read, remove, type Transaction } from "../../store/transaction.ts";
import { withDeadline } from "../deadline.ts";
import { Ages, type LookOptions } from "./ages.ts";
import type { Holding } from "./holding.ts";
import { hasLivingPod } from "./pod-evidence.ts";
import { releaseHolding } from "./release-holding.ts";
import { type LostNode, type Survey, survey } from "./survey.ts";

export interface LostNodesOptions extends LookOptions {
  readonly datastore: AsyncDatastore;
  /** Everything of the node was released. */
  readonly onCleared: (node: string) => void;
  readonly onFailure: (what: string, error: Error) => void;
}

const decisionMs = 5000;

export class LostNodes {
  readonly #options: LostNodesOptions;
  readonly #nodes: Ages;
  readonly #handles: Ages;

  constructor(options: LostNodesOptions) {
    this.#options = options;
    this.#nodes = new Ages(options.maxGapMs, options.clockMs);
    this.#handles = new Ages(options.maxGapMs, options.clockMs);
  }

  /** Looks once over the whole datastore. Rejects if it cannot be read. */
  async look(): Promise<void> {
    const { datastore, node, graceMs, onFailure } = this.#options;
    const found = await survey(datastore);
    // Where not even this agent's node is listed, the listing proves nothing.
    if (!found.nodes.has(node)) return;
    this.#nodes.look(new Map([...found.lost.keys()].map((name) => [name, ""])));
    for (const [name, lost] of found.lost) {
      if (!this.#nodes.isOlder(name, graceMs)) continue;
      await this.#clear(name, lost).catch((error: Error) => onFailure(`node ${name}`, error));
    }
    await this.#clearHandles(found);
  }

  async #clear(name: string, { holdings, cidrs }: LostNode): Promise<void> {
    const { datastore, isKubernetes, now, onReleased, onCleared, onFailure } = this.#options;
    const stores = { fresh: datastore.store, transactions: datastore.store };
    let isRest = false;
    for (const holding of holdings) {
      const isOwned = () => this.#isOwned(name, holding);
      try {
        if (await releaseHolding(stores, { holding, now: now(), isOwned })) onReleased(holding);
        else isRest = true;
      } catch (error) {
        onFailure(`handle ${holding.handleId}`, error as Error);
        isRest = true;
      }
    }
    // The next look finds what was not released.
    if (isRest) return;
    if (!isKubernetes) await this.#clearEndpoints(name);
    for (const cidr of cidrs) await this.#decide(() => this.#releaseBlock(name, cidr));
    onCleared(name);
  }

  *#isOwned(name: string, holding: Holding): Transaction<boolean> {
    if (yield* isThere(name)) return true;
    return this.#options.isKubernetes && (yield* hasLivingPod(name, holding));
  }

  *#releaseBlock(name: string, cidr: string): Transaction<void> {
    if (!(yield* isThere(name))) yield* releaseBlock(name, cidr);
  }

  /** In Kubernetes they are part of their pods. */
  async #clearEndpoints(name: string): Promise<void> {
    const endpoints: StoredObject[] = [];
    await this.#options.datastore.visit("WorkloadEndpoint", (endpoint) => {
      if ((endpoint.spec as { readonly node?: string }).node === name) endpoints.push(endpoint);
    });
    for (const endpoint of endpoints) {
      await this.#decide(function* () {
        if (!(yield* isThere(name))) yield* remove(endpoint);
      });
    }
  }

  /** An ADD that was killed between its writes leaves a handle without addresses. Its age tells it from one that is under way. */
  async #clearHandles({ handlesInUse }: Survey): Promise<void> {
    const { datastore, graceMs, onFailure } = this.#options;
    const empty = new Map<string, string>();
    await datastore.visit("IPAMHandle", ({ spec, metadata }) => {
      const { handleID } = spec as { readonly handleID?: unknown };
      if (typeof handleID !== "string" || handlesInUse.has(handleID)) return;
      empty.set(handleID, metadata.resourceVersion ?? "");
    });
    this.#handles.look(empty);
    for (const [handleId, revision] of empty) {
      if (!this.#handles.isOlder(handleId, graceMs)) continue;
      const removing = this.#decide(() => removeEmpty(handleId, revision));
      await removing.catch((error: Error) => onFailure(`handle ${handleId}`, error));
    }
  }

  #decide<T>(transaction: () => Transaction<T>): Promise<T> {
    return driveAsync(transaction(), withDeadline(this.#options.datastore.store, decisionMs));
  }
}

function* isThere(node: string): Transaction<boolean> {
  return (yield* read({ kind: "Node", name: node })) !== undefined;
}

function* removeEmpty(handleId: string, revision: string): Transaction<void> {
  const { handle, blocks } = yield* readHandleContents(handleId);
  if (handle === undefined || handle.metadata.resourceVersion !== revision || blocks.length > 0) return;
  yield* writeHandle(handle, {});
}

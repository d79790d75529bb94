/**
 * Releases leaks: each agent those of its own node (`node-leaks.ts`), and the agent with the cluster's lease those of nodes that are gone
 * (`lost-nodes.ts`).
 */
import { setTimeout as sleep } from "node:timers/promises";
import { CoreError } from "../../errors/core-error.ts";
import type { Sys } from "../../host/sys.ts";
import { isBlock } from "../../ipam/model/block.ts";
import { listPools, type Pool } from "../../ipam/model/pool.ts";
import type { AsyncDatastore } from "../../store/async-datastore.ts";
import { driveAsync } from "../../store/transaction.ts";
import type { KeyedQueue } from "../ipam/keyed-queue.ts";
import type { Metrics } from "../metrics.ts";
import { defaultLeakGraceSeconds } from "../settings/read.ts";
import type { AgentLog } from "../start/start-node.ts";
import { type Holding, heldIn, ownerOfBlock } from "./holding.ts";
import { addIpamMetrics } from "./ipam-metrics.ts";
import { LostNodes } from "./lost-nodes.ts";
import { type KnownBlocks, NodeLeaks } from "./node-leaks.ts";
import type { Records } from "./records.ts";

export interface LeaksOptions {
  readonly node: string;
  readonly isKubernetes: boolean;
  readonly datastore: AsyncDatastore;
  readonly transactions: KnownBlocks;
  readonly records: Records;
  readonly queue: KeyedQueue;
  /** 0: only what nodes that are gone have left is released, after the default. */
  readonly graceSeconds: number;
  readonly sys: Sys;
  readonly metrics: Metrics;
  readonly log: AgentLog;
  /** Why writes are not allowed now. */
  readonly heldBack: () => string | undefined;
  /** Records the node again if it is not recorded any more: it would count as gone. */
  readonly keepNode: () => Promise<void>;
}

const leaseName = "tortie-node-leaks";

export class Leaks {
  readonly #options: LeaksOptions;
  readonly #node: NodeLeaks;
  readonly #lost: LostNodes;
  readonly #intervalMs: number;
  #pools: readonly Pool[] = [];
  #isElected = false;
  #knowsBorrowed = false;

  constructor(options: LeaksOptions) {
    const { node, isKubernetes, datastore, transactions, records, queue, graceSeconds, sys, metrics, log } = options;
    this.#options = options;
    const graceMs = (graceSeconds || defaultLeakGraceSeconds) * 1000;
    this.#intervalMs = graceMs / 2;
    const reclaimed = addIpamMetrics(metrics, {
      node,
      ownBlocks: () => transactions.ownBlocks() ?? [],
      pools: () => this.#pools,
      borrowed: () => this.#node.borrowed(),
      candidates: () => this.#node.candidates(),
      isElected: () => this.#isElected,
    });
    const common = {
      ...{ node, isKubernetes, graceMs, maxGapMs: 3 * this.#intervalMs },
      now: () => nanoseconds(sys),
      onReleased: (holding: Holding) => {
        reclaimed(holding);
        const ips = holding.addresses.map(({ address }) => address);
        log.warn({ handle: holding.handleId, node: holding.addresses[0]?.node, ips }, "leaked addresses released");
      },
    };
    const onFailure = (what: string, { message, stack }: Error) =>
      log.warn({ what, error: message, stack }, "cannot release a leak");
    this.#node = new NodeLeaks({
      ...{ ...common, fresh: datastore.store, transactions, records, queue },
      onFailure: ({ handleId }, error) => onFailure(`handle ${handleId}`, error),
    });
    const onCleared = (name: string) => log.info({ node: name }, "node that is gone cleared");
    this.#lost = new LostNodes({ ...common, datastore, onCleared, onFailure });
  }

  /** Ends with the signal. */
  follow(signal: AbortSignal): void {
    const run = async () => {
      // Agents that were started together do not ask together.
      for (let share = Math.random(); !signal.aborted; share = 0.8 + 0.2 * Math.random()) {
        await sleep(this.#intervalMs * share, undefined, { signal, ref: false }).catch(() => undefined);
        if (!signal.aborted) await this.look().catch((error: Error) => this.#report(error));
      }
    };
    void run();
  }

  async look(): Promise<void> {
    const { datastore, node, graceSeconds, heldBack, keepNode } = this.#options;
    this.#pools = (await driveAsync(listPools(), datastore.store)).pools;
    if (heldBack() !== undefined) return;
    await keepNode();
    if (graceSeconds > 0) {
      await this.#findBorrowed();
      await this.#node.look();
    }
    // Longer than two looks, so that the same agent keeps it.
    const leaseSeconds = Math.ceil((2.5 * this.#intervalMs) / 1000);
    this.#isElected = await datastore.lease(leaseName).hold(node, leaseSeconds);
    if (this.#isElected) await this.#lost.look();
  }

  /** Once, for what an earlier agent of this node borrowed. */
  async #findBorrowed(): Promise<void> {
    const { datastore, node, transactions } = this.#options;
    if (this.#knowsBorrowed) return;
    await datastore.visit("IPAMBlock", (block) => {
      if (!isBlock(block) || ownerOfBlock(block) === node) return;
      if (heldIn(block).some((held) => held.node === node)) transactions.borrowed.add(block.spec.cidr);
    });
    this.#knowsBorrowed = true;
  }

  #report(error: Error): void {
    // The watch over the datastore reports that it is away.
    if (error instanceof CoreError && error.kind === "timeout") return;
    this.#options.log.warn(
      { error: error instanceof CoreError ? error.message : error.stack },
      "cannot look for leaks",
    );
  }
}

function nanoseconds(sys: Sys): bigint {
  const { seconds, nanoseconds: rest } = sys.wallClock();
  return BigInt(seconds) * 1_000_000_000n + BigInt(rest);
}

/** Keeps the addresses of this node's tunnel devices assigned, as pools and the Node change. */
import { setTimeout as sleep } from "node:timers/promises";
import { CoreError } from "../../errors/core-error.ts";
import { type AsyncStore, driveAsync } from "../../store/transaction.ts";
import { withDeadline } from "../deadline.ts";
import type { AgentLog } from "../start/start-node.ts";
import type { NetworkStore } from "./network-store.ts";
import { ensureTunnelAddress, tunnelKinds } from "./tunnel-address.ts";

export interface TunnelsOptions {
  readonly node: string;
  /** The datastore as transactions of this node see it. */
  readonly transactions: AsyncStore;
  readonly log: AgentLog;
  readonly signal: AbortSignal;
  readonly hasIpv6: boolean;
}

const deadlineMs = 10_000;
const firstRetryMs = 1000;
const maxRetryMs = 30_000;

export class Tunnels {
  readonly #store: NetworkStore;
  readonly #options: TunnelsOptions;
  /** Pools and Node for which all addresses are as they should be. */
  #settled = "";
  #isAtWork = false;
  /** By handle. */
  readonly #addresses = new Map<string, string | undefined>();

  constructor(store: NetworkStore, options: TunnelsOptions) {
    this.#store = store;
    this.#options = options;
  }

  /** Pools or nodes may have changed. */
  poke(): void {
    if (this.#isAtWork || !this.#store.isComplete || this.#state() === this.#settled) return;
    this.#isAtWork = true;
    void this.#settle().finally(() => {
      this.#isAtWork = false;
    });
  }

  /** Until nothing changed meanwhile. */
  async #settle(): Promise<void> {
    const { signal, log } = this.#options;
    let told: string | undefined;
    for (let failures = 0; !signal.aborted && this.#state() !== this.#settled; failures++) {
      const state = this.#state();
      const failure = await this.#ensureAll();
      if (failure === undefined) {
        this.#settled = state;
        continue;
      }
      if (failure.message !== told) log.warn({ error: failure.message }, "tunnel address not assigned");
      told = failure.message;
      await sleep(Math.min(maxRetryMs, firstRetryMs * 2 ** failures), undefined, { signal }).catch(() => undefined);
    }
  }

  /** The first failure. */
  async #ensureAll(): Promise<CoreError | undefined> {
    const { node, transactions, log, hasIpv6 } = this.#options;
    let failure: CoreError | undefined;
    for (const kind of tunnelKinds) {
      if (kind.family === 6 && !hasIpv6) continue;
      const order = { node, now: BigInt(Date.now()) * 1_000_000n };
      try {
        const store = withDeadline(transactions, deadlineMs);
        const address = await driveAsync(ensureTunnelAddress(kind, order), store);
        if (address !== undefined && address !== this.#addresses.get(kind.handle)) {
          log.info({ address, encapsulation: kind.encapsulation }, "tunnel address assigned");
        }
        this.#addresses.set(kind.handle, address);
      } catch (error) {
        if (!(error instanceof CoreError)) throw error;
        failure ??= error;
      }
    }
    return failure;
  }

  #state(): string {
    return JSON.stringify([this.#store.pools, this.#store.nodes.get(this.#options.node)]);
  }
}

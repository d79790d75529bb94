/**
 * Detects this node's addresses again while the agent runs, and records those that have changed, so that other nodes send to the new ones.
 *
 *     an interface changed, or the interval is over ─► detect ─► as recorded: nothing
 *                                                       └──► other, and the same again after a while ─► the Node
 *
 * **An address counts when it is found twice**: an interface that is down for a moment must not move the node to another one.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { CoreError } from "../../errors/core-error.ts";
import { maxTimerMs, Turns } from "../turns.ts";
import type { NodeAddresses } from "./node-address.ts";

export interface FollowAddressesOptions {
  /** As recorded at the start. */
  readonly addresses: NodeAddresses;
  /** 0: only when an interface changes. */
  readonly intervalMs: number;
  /** Between the two looks. */
  readonly settleMs?: number;
  /** Rejects with a `CoreError` if there are none, or another node has one of them. */
  readonly detect: () => Promise<NodeAddresses>;
  readonly record: (addresses: NodeAddresses) => Promise<unknown>;
  readonly log: {
    info(fields: object, message: string): void;
    warn(fields: object, message: string): void;
  };
  readonly signal: AbortSignal;
}

/** Interfaces change several times when one goes up. */
const quietMs = 500;
const defaultSettleMs = 5000;

export class FollowedAddresses {
  readonly #options: FollowAddressesOptions;
  readonly #turns: Turns;
  #addresses: NodeAddresses;
  #lastError: string | undefined;

  constructor(options: FollowAddressesOptions) {
    this.#options = options;
    this.#addresses = options.addresses;
    this.#turns = new Turns(options.signal, quietMs);
    void this.#follow();
  }

  /** As recorded. */
  get current(): NodeAddresses {
    return this.#addresses;
  }

  /** An interface or an address changed. */
  poke(): void {
    this.#turns.poke();
  }

  async #follow(): Promise<void> {
    const { intervalMs, log } = this.#options;
    while (await this.#turns.next(intervalMs > 0 ? intervalMs : maxTimerMs)) {
      try {
        await this.#look();
        this.#lastError = undefined;
      } catch (error) {
        if (!(error instanceof CoreError)) throw error;
        if (error.message !== this.#lastError) log.warn({ error: error.message }, "addresses not detected");
        this.#lastError = error.message;
      }
    }
  }

  async #look(): Promise<void> {
    const { detect, record, log, signal, settleMs = defaultSettleMs } = this.#options;
    const first = await detect();
    if (isSame(first, this.#addresses)) return;
    await sleep(settleMs, undefined, { signal }).catch(() => undefined);
    if (signal.aborted || !isSame(first, await detect())) return;
    await record(first);
    log.info({ before: Object.values(this.#addresses), ips: Object.values(first) }, "addresses of this node changed");
    this.#addresses = first;
  }
}

function isSame(one: NodeAddresses, other: NodeAddresses): boolean {
  return ([4, 6] as const).every((family) => one[family] === other[family]);
}

/** The turns of a loop that follows changes: one for all changes that come together, and one after a time without any. */
import { setTimeout as sleep } from "node:timers/promises";

/** The longest time that a timer takes. */
export const maxTimerMs = 2 ** 31 - 1;

export class Turns {
  readonly #signal: AbortSignal;
  readonly #quietMs: number;
  #isDue = false;
  #wake = () => {};

  /** `quietMs`: changes within this time are one turn. */
  constructor(signal: AbortSignal, quietMs: number) {
    this.#signal = signal;
    this.#quietMs = quietMs;
    signal.addEventListener("abort", () => this.#wake(), { once: true });
  }

  /** Something changed. */
  poke(): void {
    this.#isDue = true;
    this.#wake();
  }

  /** Waits for a change, at most `maxMs`. Returns `false` if the signal ends the loop. */
  async next(maxMs: number): Promise<boolean> {
    if (!this.#isDue && !this.#signal.aborted) await this.#change(maxMs);
    await sleep(this.#quietMs, undefined, { signal: this.#signal }).catch(() => undefined);
    this.#isDue = false;
    return !this.#signal.aborted;
  }

  #change(maxMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, maxMs);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

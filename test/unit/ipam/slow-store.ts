/** A distant store: each request takes a while, in simulated time that advances only as work is done. No lock; seeded. */
import { backoffMs } from "../../../src/store/backoff.ts";
import {
  type AsyncStore,
  driveAsync,
  type StoreReply,
  type StoreRequest,
  type Transaction,
} from "../../../src/store/transaction.ts";
import { AnswerLost } from "./ground.ts";
import { memoryStore } from "./memory-store.ts";

interface Event {
  readonly at: number;
  readonly happen: () => void;
}

export class SlowStore implements AsyncStore {
  readonly memory = memoryStore({ hints: false });
  requests = 0;
  losesEach: number;
  readonly #waits: boolean;
  readonly #events: Event[] = [];
  #now = 0;
  #seed = 1;
  #writes = 0;

  constructor({ waits, losesEach = 0 }: { readonly waits: boolean; readonly losesEach?: number }) {
    this.#waits = waits;
    this.losesEach = losesEach;
  }

  handle(request: StoreRequest): Promise<StoreReply> {
    if (request.op === "wait") {
      return this.#after(this.#waits ? backoffMs(request.attempt, this.#random()) : 0, () => ({ nothing: true }));
    }
    if (request.op !== "room" && request.op !== "last pool") this.requests++;
    return this.#after(1 + 4 * this.#random(), () => {
      const reply = this.memory.handle(request);
      const isWrite = request.op === "create" || request.op === "update" || request.op === "delete";
      if (isWrite && this.losesEach > 0 && ++this.#writes % this.losesEach === 0) throw new AnswerLost(request);
      return reply;
    });
  }

  /** Runs concurrent transactions until all have ended. */
  async all<T>(transactions: readonly (() => Transaction<T>)[]): Promise<readonly PromiseSettledResult<T>[]> {
    let isDone = false;
    const outcome = Promise.allSettled(transactions.map((one) => driveAsync(one(), this))).finally(() => {
      isDone = true;
    });
    while (!isDone) {
      // The process that got an answer sends its next request first.
      await new Promise((resolve) => setImmediate(resolve));
      this.#events.sort((one, other) => one.at - other.at);
      const event = this.#events.shift();
      if (event === undefined) continue;
      this.#now = event.at;
      event.happen();
    }
    return outcome;
  }

  #after(ms: number, answer: () => StoreReply): Promise<StoreReply> {
    return new Promise((resolve, reject) => {
      const happen = () => {
        try {
          resolve(answer());
        } catch (error) {
          reject(error);
        }
      };
      this.#events.push({ at: this.#now + ms, happen });
    });
  }

  /** Park and Miller's minimal standard generator. */
  #random(): number {
    this.#seed = (this.#seed * 48_271) % 2_147_483_647;
    return this.#seed / 2_147_483_647;
  }
}

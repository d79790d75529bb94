/**
 * A store that answers until a deadline, for a transaction must not outlive the request that it is for.
 *
 *     requests ──────────► deadline: the next one fails ──► those that clean up after it ──► grace: all fail
 */
import { CoreError } from "../errors/core-error.ts";
import type { AsyncStore } from "../store/transaction.ts";

/** The datastore was too slow. What was written until then is taken back, or is left to the release of its handle. */
class OutOfTime extends CoreError {
  override readonly name = "OutOfTime";
  readonly kind = "timeout";

  constructor(ms: number) {
    super(`cannot finish within ${ms / 1000} s: the datastore is too slow, or too many want the same`);
  }
}

/** How long what cleans up may take. */
const graceMs = 5000;

export function withDeadline(store: AsyncStore, ms: number): AsyncStore {
  const start = performance.now();
  let isTold = false;
  return {
    async handle(request) {
      const passed = performance.now() - start;
      const isOver = passed > ms + graceMs || (passed > ms && !isTold);
      if (!isOver) return await store.handle(request);
      isTold = true;
      throw new OutOfTime(ms);
    },
  };
}

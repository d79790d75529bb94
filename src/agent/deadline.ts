/**
 * A store that answers until a deadline, because a transaction must not outlive its request.
 *
 *     requests ──────────► deadline: the next request fails ──► requests of the cleanup ──► grace: all fail
 */
import { CoreError } from "../errors/core-error.ts";
import type { AsyncStore } from "../store/transaction.ts";

/** The datastore was too slow. Earlier writes are undone, or remain until the handle is released. */
class OutOfTime extends CoreError {
  override readonly name = "OutOfTime";
  readonly kind = "timeout";

  constructor(ms: number) {
    super(`cannot finish within ${ms / 1000} s: the datastore is too slow, or too many want the same`);
  }
}

/** How long the cleanup may take. */
const graceMs = 5000;

export function withDeadline(store: AsyncStore, ms: number): AsyncStore {
  const start = performance.now();
  let isTold = false;
  return {
    handle(request) {
      const passed = performance.now() - start;
      const isOver = passed > ms + graceMs || (passed > ms && !isTold);
      if (!isOver) return store.handle(request);
      isTold = true;
      throw new OutOfTime(ms);
    },
  };
}

/** How long to wait after a conflict, so that many writers of one object rarely collide again. */

const firstMs = 20;
const maxMs = 2000;
const growth = 4;

/**
 * `attempt` counts conflicts from 0, `random` is in [0, 1). The wait is random below a growing bound: after fixed waits, all writers would
 * collide again.
 */
export function backoffMs(attempt: number, random: number): number {
  return random * Math.min(maxMs, firstMs * growth ** Math.min(attempt, 10));
}

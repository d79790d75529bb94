import type { Sys } from "./sys.ts";

/** Milliseconds since the epoch. */
export function nowMs(sys: Pick<Sys, "wallClock">): number {
  const { seconds, nanoseconds } = sys.wallClock();
  return seconds * 1000 + Math.floor(nanoseconds / 1e6);
}

/** Nanoseconds since the epoch. */
export function nowNs(sys: Pick<Sys, "wallClock">): bigint {
  const { seconds, nanoseconds } = sys.wallClock();
  return BigInt(seconds) * 1_000_000_000n + BigInt(nanoseconds);
}

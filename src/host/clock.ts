import type { Sys } from "./sys.ts";

/** Milliseconds since the epoch. */
export function nowMs(sys: Pick<Sys, "wallClock">): number {
  const { seconds, nanoseconds } = sys.wallClock();
  return seconds * 1000 + Math.floor(nanoseconds / 1e6);
}

import type { Sys } from "../host/sys.ts";

/** Milliseconds since the epoch. */
export function nowMs(sys: Sys): number {
  const { seconds, nanoseconds } = sys.wallClock();
  return seconds * 1000 + Math.floor(nanoseconds / 1e6);
}

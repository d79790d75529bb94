/** How long things have looked the same, at every look. */
import type { Holding } from "./holding.ts";

/** What each of the two searches for leaks needs. */
export interface LookOptions {
  /** The node of this agent. */
  readonly node: string;
  readonly isKubernetes: boolean;
  /** For how long every look must find the same. */
  readonly graceMs: number;
  /** See `Ages`. */
  readonly maxGapMs: number;
  /** Nanoseconds since the epoch. */
  readonly now: () => bigint;
  /** Milliseconds of a clock that never jumps. */
  readonly clockMs?: () => number;
  readonly onReleased: (holding: Holding) => void;
}

export class Ages {
  readonly #maxGapMs: number;
  readonly #now: () => number;
  #seen = new Map<string, { readonly signature: string; readonly sinceMs: number }>();
  #lookedMs = Number.NEGATIVE_INFINITY;

  /** `maxGapMs`: after a longer pause everything counts as new: this process may have been frozen, and does not know what happened. */
  constructor(maxGapMs: number, now = () => performance.now()) {
    this.#maxGapMs = maxGapMs;
    this.#now = now;
  }

  /** What a look found, by its key: a text that changes when the thing becomes another. */
  look(found: ReadonlyMap<string, string>): void {
    const now = this.#now();
    const known = now - this.#lookedMs > this.#maxGapMs ? new Map<string, never>() : this.#seen;
    this.#lookedMs = now;
    this.#seen = new Map(
      [...found].map(([key, signature]) => {
        const before = known.get(key);
        return [key, before?.signature === signature ? before : { signature, sinceMs: now }];
      }),
    );
  }

  /** Whether the last look found it, and every look for at least this long. */
  isOlder(key: string, ms: number): boolean {
    const seen = this.#seen.get(key);
    return seen !== undefined && this.#lookedMs - seen.sinceMs >= ms;
  }

  /** How many things the last look found. */
  get size(): number {
    return this.#seen.size;
  }
}

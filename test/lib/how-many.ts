/**
 * How much of a large space of cases a test tries: a few while a developer waits (`npm run ok`), many with TORTIE_CASES=many (`npm run
 * test:full`), which changes only the number of cases.
 */

export const isMany = process.env.TORTIE_CASES === "many" || process.env.TORTIE_CRASH === "full";

/** The number of cases to try, if the full run tries `many`. */
export function howMany(many: number): number {
  return isMany ? many : Math.ceil(many / 5);
}

/** All of them, or every fifth, evenly spread; at least `least`. */
export function someOf<T>(all: readonly T[], least = 1): readonly T[] {
  return isMany ? all : evenly(all, Math.max(least, howMany(all.length)));
}

/** `count` of them, evenly spread; all if there are fewer. */
export function evenly<T>(all: readonly T[], count: number): readonly T[] {
  if (all.length <= count) return all;
  return Array.from({ length: count }, (_, at) => all[Math.floor((at * all.length) / count)] as T);
}

/** How long a test keeps a datastore away: TORTIE_OUTAGE, in seconds. */
export const outageMs = Number(process.env.TORTIE_OUTAGE ?? 6) * 1000;

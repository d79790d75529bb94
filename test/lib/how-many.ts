/**
 * How much of a large space of cases a test tries: a few of them where a developer waits (`npm run ok`), many with TORTIE_CASES=many (`npm run
 * test:full`), which changes no test, only how often it is asked.
 */

export const isMany = process.env.TORTIE_CASES === "many" || process.env.TORTIE_CRASH === "full";

/** What one of these counts is now. */
export function howMany(many: number): number {
  return isMany ? many : Math.ceil(many / 5);
}

/** All of them, or every fifth, evenly spread; never fewer than `least`. */
export function someOf<T>(all: readonly T[], least = 1): readonly T[] {
  return isMany ? all : evenly(all, Math.max(least, howMany(all.length)));
}

/** So many of them, evenly spread; all where there are no more. */
export function evenly<T>(all: readonly T[], count: number): readonly T[] {
  if (all.length <= count) return all;
  return Array.from({ length: count }, (_, at) => all[Math.floor((at * all.length) / count)] as T);
}

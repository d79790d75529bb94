/** CNI_ARGS (`K=V;K=V`) and CNI_PATH (`dir:dir`). */

/**
 * Lenient: what is no pair is ignored, unknown keys are kept (some reference plugins refuse both unless `IgnoreUnknown` is set), a value
 * may hold `=`. Keys are matched exactly; the last of several wins.
 */
export function parseArgs(text: string): Readonly<Record<string, string>> {
  const pairs: [string, string][] = [];
  for (const pair of text.split(";")) {
    const equals = pair.indexOf("=");
    if (equals > 0) pairs.push([pair.slice(0, equals), pair.slice(equals + 1)]);
  }
  return Object.fromEntries(pairs);
}

export function parsePath(text: string): readonly string[] {
  return text.split(":").filter((directory) => directory !== "");
}

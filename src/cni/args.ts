/** CNI_ARGS (`K=V;K=V`) and CNI_PATH (`dir:dir`). */

/**
 * Lenient: it ignores malformed pairs and keeps unknown keys (some reference plugins reject both unless `IgnoreUnknown` is set). A value may
 * contain `=`. Keys are case-sensitive; the last of several wins.
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

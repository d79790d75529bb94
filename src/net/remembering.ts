/** More than the addresses and prefixes of one operation. */
const maxRemembered = 256;

/**
 * Returns the same function with a cache of its results. An operation parses its few addresses a dozen times each, and parsing takes ten times as
 * long as a look-up. Does not cache errors.
 */
export function remembering<T>(compute: (text: string) => T): (text: string) => T {
  const known = new Map<string, T>();
  return (text) => {
    const found = known.get(text);
    if (found !== undefined) return found;
    const value = compute(text);
    if (known.size >= maxRemembered) known.clear();
    known.set(text, value);
    return value;
  };
}

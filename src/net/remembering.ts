/** More than the addresses and prefixes of one operation. */
const maxRemembered = 256;

/**
 * The function, but for a text that it was called with before it returns the same value again. An operation parses the few addresses that it
 * is about a dozen times each, and parsing one takes ten times as long as looking it up. Errors are not remembered.
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

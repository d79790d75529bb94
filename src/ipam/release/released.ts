/**
 * Addresses that a release has just given back, for whoever has to know in the same process: when all other traces of them are gone, it alone
 * tells.
 */
const known = new WeakMap<object, readonly string[]>();

/** `owner`: the operating system's door that they were released through. */
export function rememberReleased(owner: object, addresses: readonly string[]): void {
  known.set(owner, addresses);
}

/** What was remembered, once. */
export function takeReleased(owner: object): readonly string[] {
  const addresses = known.get(owner) ?? [];
  known.delete(owner);
  return addresses;
}

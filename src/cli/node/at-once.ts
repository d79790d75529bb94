/** Programs for many things: some at once, so that a node with hundreds of pods does not start hundreds of processes. */

const maxAtOnce = 8;

/** In the order of the items. */
export async function mapAtOnce<T, R>(items: readonly T[], body: (item: T) => Promise<R>): Promise<readonly R[]> {
  const results: R[] = [];
  for (let first = 0; first < items.length; first += maxAtOnce) {
    results.push(...(await Promise.all(items.slice(first, first + maxAtOnce).map(body))));
  }
  return results;
}

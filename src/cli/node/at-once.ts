/** Programs for many things: some at once, so that a node with hundreds of pods does not start hundreds of processes. */
import pMap from "p-map";

const maxAtOnce = 8;

/** In the order of the items. */
export function mapAtOnce<T, R>(items: readonly T[], body: (item: T) => Promise<R>): Promise<readonly R[]> {
  return pMap(items, body, { concurrency: maxAtOnce });
}

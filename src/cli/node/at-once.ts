/** Limits how many programs run at once on a node with hundreds of pods. */
import pMap from "p-map";

const maxAtOnce = 8;

/** In the order of the items. */
export function mapAtOnce<T, R>(items: readonly T[], body: (item: T) => Promise<R>): Promise<readonly R[]> {
  return pMap(items, body, { concurrency: maxAtOnce });
}

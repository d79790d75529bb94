/** Prefixes as numbers, to sort thousands of blocks into pools. */
import { addressToBigInt, type Family, familyOf } from "../../net/address.ts";
import { addressCount, addressOf, maskPrefix } from "../../net/prefix.ts";

export interface Range {
  readonly family: Family;
  readonly first: bigint;
  readonly last: bigint;
}

function rangeOf(cidr: string): Range {
  const first = addressToBigInt(addressOf(maskPrefix(cidr)));
  return { family: familyOf(cidr), first, last: first + addressCount(cidr) - 1n };
}

/** IPv4 first, then by address; a wider range comes before the ranges in it. */
function compareRanges(one: Range, other: Range): number {
  if (one.family !== other.family) return one.family - other.family;
  if (one.first !== other.first) return one.first < other.first ? -1 : 1;
  if (one.last !== other.last) return one.last > other.last ? -1 : 1;
  return 0;
}

/** By range, ascending. */
export function byCidr<T extends { readonly cidr: string }>(items: readonly T[]): readonly T[] {
  return items
    .map((item) => ({ item, range: rangeOf(item.cidr) }))
    .sort((one, other) => compareRanges(one.range, other.range))
    .map(({ item }) => item);
}

/** Finds which of some disjoint ranges contains a given range. */
export function finder<T extends { readonly cidr: string }>(items: readonly T[]): (cidr: string) => T | undefined {
  const sorted = items
    .map((item) => ({ item, range: rangeOf(item.cidr) }))
    .sort((one, other) => compareRanges(one.range, other.range));
  return (cidr) => {
    const wanted = rangeOf(cidr);
    let low = 0;
    let high = sorted.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const found = sorted[middle];
      if (found !== undefined && compareRanges(found.range, wanted) <= 0) low = middle + 1;
      else high = middle;
    }
    const before = sorted[low - 1];
    const holds = before?.range.family === wanted.family && before.range.last >= wanted.last;
    return holds ? before.item : undefined;
  };
}

/** The sequence numbers of a block's allocations, by ordinal. */
import type { Unread } from "../../store/json-text.ts";
import { membersOf, type NumberRecord } from "../../store/number-record.ts";

export type SequenceNumbers = Unread<NumberRecord> | null | undefined;

/** The block's number when the ordinal was assigned; 0 if an old block has none. */
export function sequenceNumberOf(
  { sequenceNumberForAllocation: numbers }: { readonly sequenceNumberForAllocation?: SequenceNumbers },
  ordinal: number,
): bigint {
  return BigInt(membersOf(numbers)[ordinal] ?? 0);
}

export function numberedOrdinals(numbers: SequenceNumbers): readonly string[] {
  return Object.keys(membersOf(numbers));
}

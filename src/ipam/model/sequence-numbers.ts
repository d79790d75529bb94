/**
 * The sequence numbers of a block's allocations: as text where a file held them, for an operation changes one and hands on the others.
 *
 *     {"0":1690113884806720496,"8":1690113884806720511}
 */
import { JsonText } from "../../store/json-text.ts";

/** By ordinal. */
export type SequenceNumbers = Readonly<Record<string, bigint | number>>;

type Known = SequenceNumbers | JsonText<SequenceNumbers>;
type Stored = Known | null | undefined;

/** The block's number when the ordinal was assigned; 0 where an old block has none. */
export function sequenceNumberOf(
  { sequenceNumberForAllocation: numbers }: { readonly sequenceNumberForAllocation?: Stored },
  ordinal: number,
): bigint {
  return BigInt(decode(numbers)[ordinal] ?? 0);
}

export function numberedOrdinals(numbers: Stored): readonly string[] {
  return Object.keys(decode(numbers));
}

/** The ordinal has none yet. */
export function withNumber(numbers: Stored, ordinal: number, number: bigint | number): Known {
  if (!(numbers instanceof JsonText)) return { ...numbers, [ordinal]: number };
  const members = numbers.text.slice(0, -1);
  return new JsonText(`${members}${members.trimEnd().length > 1 ? "," : ""}"${ordinal}":${number}}`);
}

export function withoutNumber(numbers: Stored, ordinal: number): Known {
  if (!(numbers instanceof JsonText)) {
    const { [ordinal]: _number, ...others } = numbers ?? {};
    return others;
  }
  const { text } = numbers;
  const start = text.indexOf(`"${ordinal}":`);
  if (start < 0) return numbers;
  const comma = text.indexOf(",", start);
  // The last member leaves the comma before it, if there is one.
  if (comma < 0) return new JsonText(`${text.slice(0, Math.max(1, text.lastIndexOf(",", start)))}}`);
  return new JsonText(text.slice(0, start) + text.slice(comma + 1));
}

function decode(numbers: Stored): SequenceNumbers {
  return (numbers instanceof JsonText ? numbers.value() : numbers) ?? {};
}

/** Compares the expressions of a rule with those that the kernel returns. */
import { align, littleEndian, NLA_F_NESTED, viewOf } from "../codec/attribute.ts";
import { AttributeWriter } from "../codec/attribute-writer.ts";
import { type Expression, writeExpressions } from "./expression.ts";

/**
 * Whether a rule's expressions (the value of NFTA_RULE_EXPRESSIONS) equal the wanted ones, in the same order. The kernel adds its own attributes
 * (defaults, counters).
 */
export function holdsExpressions(found: Uint8Array, wanted: readonly Expression[]): boolean {
  const writer = new AttributeWriter();
  writeExpressions(writer, wanted);
  return holds(found, writer.finish());
}

/** Whether the kernel's attributes include all of ours; lists must have the same items in the same order. */
function holds(found: Uint8Array, wanted: Uint8Array): boolean {
  const theirs = attributesOf(found);
  let next = 0;
  for (const ours of attributesOf(wanted)) {
    const isItem = ours.type === 1 && ours.nested;
    const at = isItem ? next : 0;
    const match = theirs.findIndex((one, index) => index >= at && one.type === ours.type);
    if (match < 0) return false;
    if (isItem) next = match + 1;
    const value = (theirs[match] as RawAttribute).value;
    if (ours.nested ? !holds(value, ours.value) : !isEqual(value, ours.value)) return false;
  }
  return next === 0 || !theirs.some(({ type }, index) => type === 1 && index >= next);
}

interface RawAttribute {
  readonly type: number;
  readonly nested: boolean;
  readonly value: Uint8Array;
}

/** With the flag of nesting, which only what we wrote has everywhere. */
function attributesOf(bytes: Uint8Array): readonly RawAttribute[] {
  const view = viewOf(bytes);
  const attributes: RawAttribute[] = [];
  for (let at = 0; at + 4 <= bytes.length; ) {
    const length = Math.max(4, view.getUint16(at, littleEndian));
    const type = view.getUint16(at + 2, littleEndian);
    attributes.push({
      type: type & 0x3fff,
      nested: (type & NLA_F_NESTED) !== 0,
      value: bytes.subarray(at + 4, Math.min(at + length, bytes.length)),
    });
    at += align(length);
  }
  return attributes;
}

function isEqual(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && one.every((byte, index) => byte === other[index]);
}

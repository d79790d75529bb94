import fc from "fast-check";
import { expect, test } from "vitest";
import type { BlockSpec } from "../../../../src/ipam/model/block.ts";
import {
  numberedOrdinals,
  sequenceNumberOf,
  withNumber,
  withoutNumber,
} from "../../../../src/ipam/model/sequence-numbers.ts";
import { JsonText } from "../../../../src/store/json-text.ts";

test("withNumber() and withoutNumber() are the same on text as on a record, whatever comes", () => {
  const number = fc.bigInt({ min: 0n, max: 2n ** 63n - 1n });
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(12), number), { maxLength: 40 }), (steps) => {
      let text: BlockSpec["sequenceNumberForAllocation"] = new JsonText("{}");
      const model = new Map<number, bigint>();
      for (const [ordinal, value] of steps) {
        if (model.delete(ordinal)) text = withoutNumber(text, ordinal);
        else {
          model.set(ordinal, value);
          text = withNumber(text, ordinal, value);
        }
        expect(text).toBeInstanceOf(JsonText);
        expect(numberedOrdinals(text).map(Number).sort()).toEqual([...model.keys()].sort());
        for (let i = 0; i <= 12; i++) {
          const spec = { sequenceNumberForAllocation: text } as BlockSpec;
          expect(sequenceNumberOf(spec, i)).toBe(model.get(i) ?? 0n);
        }
      }
    }),
  );
});

test("withoutNumber() passes over an ordinal that has none", () => {
  expect(withoutNumber(new JsonText('{"12":5}'), 2)).toEqual(new JsonText('{"12":5}'));
});

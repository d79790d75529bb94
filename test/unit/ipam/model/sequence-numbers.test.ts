import fc from "fast-check";
import { expect, test } from "vitest";
import type { BlockSpec } from "../../../../src/ipam/model/block.ts";
import { numberedOrdinals, sequenceNumberOf } from "../../../../src/ipam/model/sequence-numbers.ts";
import { JsonText } from "../../../../src/store/json-text.ts";
import { withMember, withoutMember } from "../../../../src/store/number-record.ts";

test("withMember() and withoutMember() are the same on text as on a record, whatever comes", () => {
  const number = fc.bigInt({ min: 0n, max: 2n ** 63n - 1n });
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(12), number), { maxLength: 40 }), (steps) => {
      let text: BlockSpec["sequenceNumberForAllocation"] = new JsonText("{}");
      const model = new Map<number, bigint>();
      for (const [ordinal, value] of steps) {
        if (model.delete(ordinal)) text = withoutMember(text, ordinal);
        else {
          model.set(ordinal, value);
          text = withMember(text, ordinal, value);
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

test("withoutMember() passes over a member that there is none of", () => {
  expect(withoutMember(new JsonText('{"12":5}'), 2)).toEqual(new JsonText('{"12":5}'));
});

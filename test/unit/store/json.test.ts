import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseJson, stringifyJson } from "../../../src/store/json.ts";

describe("parseJson()", () => {
  test.each([
    ['{"a":1690113884806720496}', { a: 1690113884806720496n }],
    ["[9007199254740991,9007199254740992]", [9007199254740991, 9007199254740992n]],
    ["-9223372036854775808", -9223372036854775808n],
    ['["1690113884806720496"]', ["1690113884806720496"]],
    ['["\\"1690113884806720496",1690113884806720497]', ['"1690113884806720496', 1690113884806720497n]],
    ['["\\\\",1690113884806720497]', ["\\", 1690113884806720497n]],
    ["[0.2500000000000000,1e25,1.5e0000000000000000001]", [0.25, 1e25, 15]],
    ['{ "a" : [ { "b" :\n1690113884806720496 } ] }', { a: [{ b: 1690113884806720496n }] }],
    [
      '{"a":1690113884806720496,"b":1690113884806720.5,"c":17e20}',
      { a: 1690113884806720496n, b: 1690113884806720.5, c: 17e20 },
    ],
    ['{"a":1690113884806720496,"a":1690113884806720497,"a":{}}', { a: {} }],
    ['{"1690113884806720496":{"__proto__":1690113884806720496}}', undefined],
  ])("reads %s exactly", (text, wanted) => {
    const value = parseJson(text);
    if (wanted !== undefined) expect(value).toEqual(wanted);
    expect(parseJson(stringifyJson(value))).toEqual(value);
  });

  test.each([
    "",
    "{",
    "[1690113884806720496",
    "01690113884806720496",
    '["\uffff1"]',
    '["\\uFFFF1"]',
    "1690113884806720496 1",
    '{1690113884806720496:""}',
    '{"a":1690113884806720496,1690113884806720497:1690113884806720498}',
  ])("refuses %j", (text) => {
    expect(() => parseJson(text)).toThrow(SyntaxError);
  });
});

describe("stringifyJson()", () => {
  test("gives back what parseJson() read, for any JSON value with integers of 64 bits", () => {
    const { tree } = fc.letrec<{ tree: unknown }>((tie) => ({
      tree: fc.oneof(
        { depthSize: "small" },
        fc.constant(null),
        fc.boolean(),
        fc.string({ unit: "grapheme" }),
        fc.double({ noNaN: true, noDefaultInfinity: true, noInteger: true }),
        fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(exact),
        fc.array(tie("tree"), { maxLength: 5 }),
        fc.dictionary(fc.string({ unit: "grapheme" }), tie("tree"), { maxKeys: 5, noNullPrototype: true }),
      ),
    }));
    fc.assert(
      fc.property(tree, (value) => {
        expect(parseJson(stringifyJson(value))).toEqual(value);
      }),
    );
  });

  test("leaves BigInt as it was, so that others' mistakes still show", () => {
    stringifyJson(1n);
    expect(() => JSON.stringify(1n)).toThrow(TypeError);
  });

  test("refuses a string that would be read as a number", () => {
    expect(() => stringifyJson([1n, "\uffff2"])).toThrow(TypeError);
  });

  test.each(["ipamblock-192-168-185-0-26.before.json", "ipamblock-192-168-185-0-26.after.json"])(
    "writes %s as it was, digit for digit",
    (name) => {
      const text = readFileSync(`test/fixtures/${name}`, "utf8");
      expect(stringifyJson(parseJson(text))).toBe(text.replace(/("(?:[^"\\]|\\.)*")|\s+/g, "$1"));
    },
  );
});

/** A number if that is exact, as the reader returns it. */
function exact(value: bigint): bigint | number {
  return Number.isSafeInteger(Number(value)) ? Number(value) : value;
}

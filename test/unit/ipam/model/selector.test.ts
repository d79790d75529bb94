import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseSelector } from "../../../../src/ipam/model/selector.ts";

const labels = { rack: "r1", "kubernetes.io/hostname": "node-1", zone: "eu-west-1" };

describe("parseSelector()", () => {
  test.each<[string, boolean]>([
    ["", true],
    ["all()", true],
    ["global()", true],
    ["!all()", false],
    ["has(rack)", true],
    ["!has(rack)", false],
    ["has(toString)", false],
    ["rack == 'r1'", true],
    ['rack=="r2"', false],
    ["rack != 'r2'", true],
    ["missing != 'x'", true],
    ["missing == ''", false],
    ["rack in { 'r1', 'r2' }", true],
    ["rack in {}", false],
    ["missing in {'r1'}", false],
    ["rack not in {'r1'}", false],
    ["missing not in {'r1'}", true],
    ["zone contains 'west'", true],
    ["missing contains ''", false],
    ["zone starts with 'eu'", true],
    ['zone ends with "-1"', true],
    ["zone ends with 'x'", false],
    ["kubernetes.io/hostname == 'node-1'", true],
    ["rack == 'r2' && rack == 'r1' || has(zone)", true],
    ["rack == 'r2' && (rack == 'r1' || has(zone))", false],
    ["!(rack == 'r2') && !has(missing)", true],
    ["!!has(rack)", true],
    ["in == 'x'", false],
  ])("%s is %s", (text, expected) => {
    expect(parseSelector(text)(labels)).toBe(expected);
  });

  test.each([
    [
      "rack",
      'cannot read selector "rack": wanted ==, !=, in, not in, contains, starts with or ends with, found the end',
    ],
    ["rack == r1", 'wanted a quoted text, found "r1"'],
    ["rack == 'r1", "nothing begins at"],
    ["(has(a)", "wanted ), found the end"],
    ["has(a) has(b)", 'wanted the end, found "has(b)"'],
    ["any()", 'there is no "any()"'],
    ["rack starts 'x'", "wanted ==, !="],
    ["rack in {'a' 'b'}", "wanted }"],
    ["a == 'b' &&", "wanted a label's name, found the end"],
  ])("refuses %s and says where", (text, message) => {
    expect(() => parseSelector(text)).toThrow(message);
  });

  test("obeys De Morgan's laws", () => {
    const atom = fc.constantFrom("has(rack)", "rack == 'r1'", "missing != 'x'", "zone contains 'x'", "rack in {'r2'}");
    fc.assert(
      fc.property(atom, atom, (a, b) => {
        expect(parseSelector(`!(${a} && ${b})`)(labels)).toBe(parseSelector(`!(${a}) || !(${b})`)(labels));
        expect(parseSelector(`!(${a} || ${b})`)(labels)).toBe(parseSelector(`!(${a}) && !(${b})`)(labels));
      }),
    );
  });
});

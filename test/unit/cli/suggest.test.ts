import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { didYouMean, editDistance, suggest } from "../../../src/cli/suggest.ts";

const commands = ["apply", "completion", "create", "delete", "doctor", "get", "ipam", "replace", "validate", "version"];
const fields = ["cidr", "blockSize", "disabled", "natOutgoing", "ipipMode", "vxlanMode", "nodeSelector"];

describe("suggest()", () => {
  test.each([
    ["doctr", "doctor"],
    ["docotr", "doctor"],
    ["gte", "get"],
    ["aply", "apply"],
    ["DELETE", "delete"],
  ])("for %s is %s", (word, wanted) => {
    expect(suggest(word, commands)).toBe(wanted);
  });

  test.each([
    ["natOutgoin", "natOutgoing"],
    ["nat_outgoing", "natOutgoing"],
    ["nat-outgoing", "natOutgoing"],
    ["vxlanmode", "vxlanMode"],
    ["ipipmdoe", "ipipMode"],
    ["Blocksize", "blockSize"],
  ])("for %s is %s", (word, wanted) => {
    expect(suggest(word, fields)).toBe(wanted);
  });

  test.each(["x", "frobnicate", "", "zzz"])("for %j is none", (word) => {
    expect(suggest(word, commands)).toBeUndefined();
    expect(didYouMean(word, commands)).toBe("");
  });

  test("for the beginning of a word is that word, or the few that begin so", () => {
    expect(didYouMean("nat", fields)).toBe(' (did you mean "natOutgoing"?)');
    expect(didYouMean("--conf", ["--conf-dir", "--conflist", "--keep"])).toBe(
      ' (did you mean "--conf-dir" or "--conflist"?)',
    );
    expect(didYouMean("na", fields)).toBe("");
    expect(didYouMean("abc", ["abc-one", "abc-two", "abc-three", "abc-four"])).toBe("");
  });

  test("ends a message", () => {
    expect(`unknown command "doctr"${didYouMean("doctr", commands)}`).toBe(
      'unknown command "doctr" (did you mean "doctor"?)',
    );
  });
});

describe("editDistance()", () => {
  test.each([
    ["", "abc", 3],
    ["kitten", "sitting", 3],
    ["ca", "ac", 1],
    ["natOutgoin", "natOutgoing", 1],
  ])("of %j and %j is %i", (one, other, wanted) => {
    expect(editDistance(one, other)).toBe(wanted);
  });

  test("is the same in both directions, 0 for the same word, and never more than the longer one's length", () => {
    const word = fc.string({ maxLength: 12 });
    fc.assert(
      fc.property(word, word, (one, other) => {
        const distance = editDistance(one, other);
        expect(distance).toBe(editDistance(other, one));
        expect(distance === 0).toBe(one === other);
        expect(distance).toBeLessThanOrEqual(Math.max(one.length, other.length));
      }),
    );
  });

  test("of a word with one letter left out is 1", () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1, maxLength: 12 }), fc.nat(), (word, at) => {
        const index = at % word.length;
        expect(editDistance(word, word.slice(0, index) + word.slice(index + 1))).toBe(1);
      }),
    );
  });
});

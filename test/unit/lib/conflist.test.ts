import { describe, expect, test } from "vitest";
import { isNewer, parseConflist } from "../../lib/conflist.ts";

function listOf(more: object): string {
  return JSON.stringify({ name: "net", plugins: [{ type: "calico" }], ...more });
}

describe("parseConflist()", () => {
  test.each([
    [{ cniVersion: "0.4.0" }, "1.1.0", "0.4.0"],
    [{ cniVersion: "1.0.0", cniVersions: ["0.4.0", "1.1.0"] }, "1.1.0", "1.1.0"],
    [{ cniVersion: "1.0.0", cniVersions: ["0.4.0", "1.1.0"] }, "1.0.0", "1.0.0"],
    [{}, "1.1.0", "0.1.0"],
  ])("chooses of %j, for a runtime up to %s, %s", (more, newest, wanted) => {
    expect(parseConflist(listOf(more), { newest }).cniVersion).toBe(wanted);
  });

  test.each([
    ["no name", { name: undefined }],
    ["a name with a slash", { name: "a/b" }],
    ["no plugins", { plugins: [] }],
    ["a type with a slash", { plugins: [{ type: "../sh" }] }],
    ["versions from the future alone", { cniVersion: "9.0.0" }],
  ])("refuses %s", (_, more) => {
    expect(() => parseConflist(listOf(more))).toThrow(/cannot load conflist/);
  });

  test.each([[true], ["true"], ["TRUE"]])("takes disableCheck %j for true", (disableCheck) => {
    expect(parseConflist(listOf({ disableCheck })).disableCheck).toBe(true);
  });
});

describe("isNewer()", () => {
  test.each([
    ["1.1.0", "1.0.0", true],
    ["1.0.0", "1.1.0", false],
    ["1.0.0", "1.0.0", false],
    ["0.10.0", "0.9.9", true],
  ])("(%s, %s) is %s", (a, b, wanted) => {
    expect(isNewer(a, b)).toBe(wanted);
  });
});

import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { formatObject, parseObject } from "../../../../src/store/file/layout.ts";
import { parseJson } from "../../../../src/store/json.ts";
import { JsonText } from "../../../../src/store/json-text.ts";
import type { StoredObject } from "../../../../src/store/object.ts";

const block = parseJson(readFileSync("test/fixtures/ipamblock-192-168-185-0-26.after.json", "utf8")) as StoredObject<{
  readonly attributes: readonly unknown[];
}>;
const text = formatObject(block);

describe("parseObject()", () => {
  test("leaves the items of a list of objects as text, and formatObject() writes them as they were", () => {
    const read = parseObject(text) as typeof block;
    expect(read.spec.attributes).toHaveLength(block.spec.attributes.length);
    for (const [index, item] of read.spec.attributes.entries()) {
      expect((item as JsonText<unknown>).value()).toEqual(block.spec.attributes[index]);
    }
    expect(formatObject(read)).toBe(text);
  });

  test.each<[string, (text: string) => string]>([
    ["on one line", (text) => text.replace(/\n */g, "")],
    ["indented", (text) => text.replace(/\n/g, "\n    ")],
    ["with an item over two lines", (text) => text.replace('"secondary"', '\n"secondary"')],
    ["with two items on one line", (text) => text.replace("},\n    {", "},{")],
    ["with an escape", (text) => text.replace('"handle_id":"k', '"handle_id":"\\u006b')],
    [
      "with the same numbers in an earlier place",
      (text) =>
        text.replace(
          '"metadata": {',
          `"metadata": {"copy":${/"sequenceNumberForAllocation": (.*)[,\n]/.exec(text)?.[1]?.replace(/,$/, "")},`,
        ),
    ],
    ["with numbers that are not the spec's", (text) => `{\n  "sequenceNumberForAllocation": {"0":7},${text.slice(1)}`],
    ["with Windows' line ends", (text) => text.replaceAll("\n", "\r\n")],
  ])("reads the same object in another layout: %s", (_, change) => {
    const changed = change(text);
    expect(changed).not.toBe(text);
    const { spec } = parseObject(changed) as typeof block;
    expect(Object.fromEntries(Object.entries(spec).map(([key, value]) => [key, read(value)]))).toEqual(block.spec);
  });

  test.each([text.slice(0, text.length / 2), text.replace('": [', '": ['.repeat(2)), text.replace("  ],", "  ,")])(
    "refuses a damaged text (%#)",
    (damaged) => {
      expect(() => parseObject(damaged)).toThrow(SyntaxError);
    },
  );
});

/** With all text parsed. */
function read(value: unknown): unknown {
  if (value instanceof JsonText) return value.value();
  return Array.isArray(value) ? value.map(read) : value;
}

import fc from "fast-check";
import { expect, test } from "vitest";
import { encodeLineTable, resolveStack, resolveStackWith, type SourceLine } from "../../../src/host/stack.ts";

const lines: readonly SourceLine[] = [
  undefined,
  { source: "src/a.ts", line: 10 },
  { source: "src/a.ts", line: 12 },
  { source: "plugins/b/main.ts", line: 3 },
  { source: "plugins/b/main.ts", line: 2 },
];

test("encodeLineTable() names each source once and encodes a next line in one character", () => {
  expect(encodeLineTable(lines)).toBe("src/a.ts plugins/b/main.ts\n |0:10;#|1:3;|1:2;");
});

test("resolveStackWith() replaces places in the bundle and leaves the rest", () => {
  const stack =
    "    at add (calico-ipam:3)\n    at map (native)\n    at <eval> (calico-ipam:1)\n    at x (calico-ipam:99)\n";
  expect(resolveStackWith(encodeLineTable(lines), stack)).toBe(
    "    at add (src/a.ts:12)\n    at map (native)\n    at <eval> (calico-ipam:1)\n    at x (calico-ipam:99)\n",
  );
});

test("resolveStack() returns a stack of Node as it is", () => {
  const { stack = "" } = new Error("here");
  expect(resolveStack(stack)).toBe(stack);
});

test("resolveStackWith() finds every line that encodeLineTable() was given", () => {
  const place = fc.record({
    source: fc.constantFrom("a.ts", "b/c.ts", "d.ts"),
    line: fc.integer({ min: 1, max: 9999 }),
  });
  fc.assert(
    fc.property(fc.array(fc.option(place, { nil: undefined }), { minLength: 1 }), (table) => {
      const encoded = encodeLineTable(table);
      table.forEach((wanted, index) => {
        const found = resolveStackWith(encoded, `(x:${index + 1})`);
        expect(found).toBe(wanted === undefined ? `(x:${index + 1})` : `(${wanted.source}:${wanted.line})`);
      });
    }),
  );
});

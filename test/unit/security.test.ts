/** The threat model in SECURITY.md names a test for each of its lines; each of these tests exists. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { root } from "../lib/suite.ts";

/** The last column: `file`: name. */
const rows = [...readFileSync(join(root, "SECURITY.md"), "utf8").matchAll(/\| `(test\/[\w./-]+)`: (.+?) \|$/gm)].map(
  ([, file = "", name = ""]) => ({ file, name }),
);

test("SECURITY.md names a test in every row of its tables", () => {
  const lines = readFileSync(join(root, "SECURITY.md"), "utf8").split("\n");
  const body = lines.filter((line) => line.startsWith("| ") && !/^\| (---|what) /.test(line));
  expect(body.length).toBeGreaterThan(20);
  expect(rows.length).toBe(body.length);
});

test.each(rows)("$file has the test $name", ({ file, name }) => {
  const text = readFileSync(join(root, file), "utf8");
  // As a test's title, the first argument, or the name of a case.
  expect([`"${name}",`, `\`${name}\`,`].some((title) => text.includes(title))).toBe(true);
});

import { describe, expect, test } from "vitest";
import { readRecord } from "../../conformance/record.ts";
import type { Section } from "../../conformance/row.ts";
import { rows } from "../../conformance/sections.ts";
import { betterTable, terminalTable, total, wholeTable } from "../../conformance/table.ts";

const numbers = rows.map(({ number }) => number);

test("the conformance rows are numbered from 1 in order without gaps: 165 of the checklist, and our own", () => {
  expect(numbers).toEqual(numbers.map((_, index) => index + 1));
  expect(numbers.length).toBeGreaterThan(165);
});

test("the conformance rows have unique titles that are valid in a Markdown table", () => {
  expect(rows.filter(({ title, note = "" }) => /[|\n]/.test(title + note))).toEqual([]);
  expect(new Set(rows.map(({ title }) => title)).size).toBe(rows.length);
});

describe("the record", () => {
  test.each(readRecord())("of $name has every row", ({ outcomes }) => {
    expect(outcomes.map(({ number }) => number)).toEqual(numbers);
  });

  test("has no failure in its first column, these plugins'", () => {
    const [own] = readRecord();
    expect(own?.name).toBe("Tortie");
    expect(own?.outcomes.filter(({ is }) => is === "fail")).toEqual([]);
  });
});

describe("tables", () => {
  const few: readonly Section[] = [
    { title: "One", rows: [1, 2].map((number) => ({ number, title: `row ${number}`, run: () => {} })) },
    { title: "Two", rows: [{ number: 3, title: "row 3", note: "only sometimes", run: () => {} }] },
  ];
  const own = {
    name: "ours",
    outcomes: [
      { number: 1, is: "pass" },
      { number: 2, is: "pass", figure: "1 ms" },
      { number: 3, is: "does not apply", why: "not shipped: x" },
    ],
  } as const;
  const other = {
    name: "theirs",
    outcomes: [
      { number: 1, is: "fail", why: "wanted a, got b" },
      { number: 2, is: "pass" },
      { number: 3, is: "fail", why: "wanted c, got d" },
    ],
  } as const;

  test("terminalTable() shows a word per column, and why below", () => {
    expect(terminalTable(few, [own, other])).toBe(`row  ours  theirs
                   — One —
  1  pass  fail    row 1
  2  pass  pass    row 2
                   — Two —
  3  –     fail    row 3

ours, 2 pass: 1 ms
ours, 3 –: not shipped: x
theirs, 1 fail: wanted a, got b
theirs, 3 fail: wanted c, got d

ours: 2 pass, 0 fail, 1 do not apply
theirs: 1 pass, 2 fail, 0 do not apply`);
  });

  test("betterTable() has what the first passes and another fails", () => {
    expect(betterTable(few, [own, other])).toBe("| row | | theirs |\n| --- | --- | --- |\n| 1 | row 1 | fail |");
  });

  test("wholeTable() has every row, with its note", () => {
    expect(wholeTable(few, [own, other])).toContain("| 3 | row 3 *(only sometimes)* | – | fail |");
  });

  test("total() counts", () => {
    expect(total(other)).toBe("theirs: 1 pass, 2 fail, 0 do not apply");
  });
});

/** Formats outcomes: for a terminal, and for the documents. */
import type { Column } from "./record.ts";
import type { Outcome, Row, Section } from "./row.ts";

/** One line per row and one word per column, under the titles of the sections; then the reasons why rows failed or do not apply. */
export function terminalTable(sections: readonly Section[], columns: readonly Column[]): string {
  const widths = columns.map(({ name }) => Math.max(name.length, 4));
  const line = (number: string, cells: readonly string[], title: string) =>
    `${number.padStart(3)}  ${cells.map((cell, index) => cell.padEnd(widths[index] ?? 0)).join("  ")}  ${title}`;
  const of = (number: number) => columns.map(({ outcomes }) => outcomes.find((one) => one.number === number));
  const body = sections.flatMap(({ title, rows }) => {
    const shown = rows.filter(({ number }) => of(number).some(Boolean));
    const lines = shown.map((row) => line(String(row.number), of(row.number).map(word), row.title));
    return lines.length === 0
      ? []
      : [
          line(
            "",
            columns.map(() => ""),
            `— ${title} —`,
          ),
          ...lines,
        ];
  });
  const head = line(
    "row",
    columns.map(({ name }) => name),
    "",
  ).trimEnd();
  return [head, ...body, "", ...columns.flatMap(reasons), "", ...columns.map(total)].join("\n");
}

/** Every row with its outcome in each column, in Markdown. */
export function wholeTable(sections: readonly Section[], columns: readonly Column[]): string {
  const rows = sections.flatMap(({ title, rows }) => [
    `| | **${title}** |${columns.map(() => " |").join("")}`,
    ...rows.map(
      (row) => `| ${row.number} | ${textOf(row)} | ${columns.map((column) => wordIn(column, row)).join(" | ")} |`,
    ),
  ]);
  return [...headOf(columns), ...rows].join("\n");
}

/** The rows that the first column passes and another one fails, in Markdown. */
export function betterTable(sections: readonly Section[], [own, ...others]: readonly Column[]): string {
  const better = sections
    .flatMap(({ rows }) => rows)
    .filter((row) => own && wordIn(own, row) === "pass" && others.some((column) => wordIn(column, row) === "fail"));
  const lines = better.map(
    (row) => `| ${row.number} | ${row.title} | ${others.map((column) => wordIn(column, row)).join(" | ")} |`,
  );
  return [...headOf(others), ...lines].join("\n");
}

function headOf(columns: readonly Column[]): readonly string[] {
  return [
    `| row | | ${columns.map(({ name }) => name).join(" | ")} |`,
    `| --- | --- |${columns.map(() => " --- |").join("")}`,
  ];
}

function textOf({ title, note }: Row): string {
  return note === undefined ? title : `${title} *(${note})*`;
}

function wordIn({ outcomes }: Column, { number }: Row): string {
  return word(outcomes.find((one) => one.number === number));
}

/** `47 pass, 2 fail, 3 do not apply`, with the column's name. */
export function total({ name, outcomes }: Column): string {
  const count = (is: Outcome["is"]) => outcomes.filter((one) => one.is === is).length;
  return `${name}: ${count("pass")} pass, ${count("fail")} fail, ${count("does not apply")} do not apply`;
}

function word(outcome: Outcome | undefined): string {
  if (outcome === undefined) return "";
  return outcome.is === "does not apply" ? "–" : outcome.is;
}

function reasons({ name, outcomes }: Column): readonly string[] {
  return outcomes.flatMap((outcome) => {
    const text = outcome.is === "pass" ? outcome.figure : outcome.why;
    return text === undefined ? [] : [`${name}, ${outcome.number} ${word(outcome)}: ${text}`];
  });
}

/** Outcomes as text: for a terminal, and for the documents. */
import type { Column } from "./record.ts";
import type { Outcome, Row, Section } from "./row.ts";

/** One line per row and one word per column, under the titles of the sections; then why rows failed or do not apply. */
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

/** The rows that one column fails and the first passes. */
export function failedBy(column: Column, rows: readonly Row[], [own]: readonly Column[]): readonly Row[] {
  const is = ({ outcomes }: Column, number: number) => outcomes.find((one) => one.number === number)?.is;
  return rows.filter(({ number }) => own && is(own, number) === "pass" && is(column, number) === "fail");
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

/** What the rows came to when somebody last wrote it down (`npm run conformance -- --record`); the documents are made of it. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../lib/suite.ts";
import type { Outcome } from "./row.ts";

export interface Column {
  /** `Tortie`, `reference 1.1.1`. */
  readonly name: string;
  readonly outcomes: readonly Outcome[];
}

const path = join(root, "test/conformance/record.json");

/** Ours first. */
export function readRecord(): readonly Column[] {
  return JSON.parse(readFileSync(path, "utf8")) as readonly Column[];
}

/** Takes these columns in, in the place of those of the same name. What was measured is the machine's and left out. */
export function writeRecord(columns: readonly Column[]): void {
  const fresh = columns.map(({ name, outcomes }) => ({ name, outcomes: outcomes.map(withoutFigure) }));
  const kept = readRecord().map((old) => fresh.find(({ name }) => name === old.name) ?? old);
  const added = fresh.filter(({ name }) => !kept.some((old) => old.name === name));
  const lines = [...kept, ...added].map(
    ({ name, outcomes }) =>
      `{ "name": ${JSON.stringify(name)}, "outcomes": [\n${outcomes.map((one) => JSON.stringify(one)).join(",\n")}\n]}`,
  );
  writeFileSync(path, `[\n${lines.join(",\n")}\n]\n`);
}

function withoutFigure(outcome: Outcome): Outcome {
  return outcome.is === "pass" ? { number: outcome.number, is: "pass" } : outcome;
}

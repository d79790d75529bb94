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

/** Takes outcomes in, each in the place of an older one of the same column and row. What was measured is the machine's and left out. */
export function writeRecord(columns: readonly Column[]): void {
  const old = readRecord();
  const names = [...new Set([...old, ...columns].map(({ name }) => name))];
  const outcomesIn = (all: readonly Column[], name: string) =>
    all.find((column) => column.name === name)?.outcomes ?? [];
  const texts = names.map((name) => {
    const fresh = outcomesIn(columns, name).map(withoutFigure);
    const kept = outcomesIn(old, name).filter(({ number }) => !fresh.some((one) => one.number === number));
    const lines = [...kept, ...fresh].sort((a, b) => a.number - b.number).map((outcome) => JSON.stringify(outcome));
    return `{ "name": ${JSON.stringify(name)}, "outcomes": [\n${lines.join(",\n")}\n]}`;
  });
  writeFileSync(path, `[\n${texts.join(",\n")}\n]\n`);
}

function withoutFigure(outcome: Outcome): Outcome {
  return outcome.is === "pass" ? { number: outcome.number, is: "pass" } : outcome;
}

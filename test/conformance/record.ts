/** The recorded outcomes of the rows (`npm run conformance -- --record`), from which the documents are generated. */
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

/** Merges outcomes: replaces older ones of the same column and row. Omits measured figures, which depend on the machine. */
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

/**
 * The reference's column, as a record: prints where the outcome differs from the recorded one, and gates nothing. Only the suite itself can fail
 * here, if a row has no outcome with plugins that it was not made for.
 */
import { existsSync } from "node:fs";
import { expect, test } from "vitest";
import { goPluginDir } from "../lib/suite.ts";
import { readRecord } from "./record.ts";
import type { Outcome } from "./row.ts";
import { runRow } from "./run.ts";
import { rows } from "./sections.ts";
import { loadSubject, referenceSource } from "./subject.ts";
import { total } from "./table.ts";

test("the conformance suite finishes every row with the reference plugins", { timeout: 1_800_000 }, async ({
  skip,
}) => {
  if (!existsSync(goPluginDir)) skip(`there are no reference plugins in ${goPluginDir}`);
  const subject = await loadSubject(referenceSource());
  const outcomes: Outcome[] = [];
  for (const row of rows) outcomes.push(await runRow(row, subject));
  const written = readRecord().find(({ name }) => name === subject.name)?.outcomes ?? [];
  const changed = outcomes.filter(({ number, is }) => written.find((one) => one.number === number)?.is !== is);
  for (const outcome of changed) console.log(`${subject.name}: not as recorded: ${JSON.stringify(outcome)}`);
  console.log(total({ name: subject.name, outcomes }));
  expect(outcomes.map(({ number }) => number)).toEqual(rows.map(({ number }) => number));
});

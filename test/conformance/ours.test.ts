/** The gate: every row that applies to the built plugins passes. CONFORMANCE_PLUGINS and CONFORMANCE_CONFLIST select other plugins. */
import { describe, test } from "vitest";
import { requireBuild } from "../lib/suite.ts";
import { runRow } from "./run.ts";
import { sections } from "./sections.ts";
import { loadSubject, ownSource } from "./subject.ts";

if (process.env.CONFORMANCE_PLUGINS === undefined) requireBuild();
const subject = await loadSubject(ownSource());

for (const { title, rows } of sections) {
  describe(title, () => {
    for (const row of rows) {
      test(`row ${row.number}: ${row.title}`, async ({ skip }) => {
        const outcome = await runRow(row, subject);
        if (outcome.is === "does not apply") skip(outcome.why);
        if (outcome.is === "fail") throw new Error(outcome.why);
      });
    }
  });
}

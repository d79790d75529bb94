/**
 * The gate again for each of our other main plugins, in the chain of `test/conformance/<name>.conflist`. The descriptors list the plugins, so a
 * main plugin without a conflist fails instead of being left out.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { descriptors } from "#plugins/descriptors";
import { ourPluginDir, requireBuild, root } from "../lib/suite.ts";
import { runRow } from "./run.ts";
import { rows } from "./sections.ts";
import { loadSubject } from "./subject.ts";

requireBuild();

/** Rows that a plugin does not pass, with the reason. */
const exceptions: Readonly<Record<string, Readonly<Record<number, string>>>> = {
  ptp: {
    132: "ptp records no endpoint: addresses of a damaged block are withheld until DEL or GC tells whose they were",
  },
};

const mains = descriptors.filter(({ role, name }) => role === "main" && name !== "calico").map(({ name }) => name);

describe.each(mains)("behind %s", async (name) => {
  const conflist = join(root, `test/conformance/${name}.conflist`);
  const subject = existsSync(conflist) ? await loadSubject({ dir: ourPluginDir, conflist, name }) : undefined;

  test("there is a chain to test it in", () => {
    expect(subject?.parts[0]).toMatchObject({ role: "main", type: name });
  });

  if (subject === undefined) return;
  test.each(rows)("row $number: $title", async (row) => {
    const outcome = await runRow(row, subject);
    const reason = exceptions[name]?.[row.number];
    if (reason !== undefined) expect({ ...outcome, reason }).toMatchObject({ is: "fail", reason });
    else if (outcome.is === "fail") throw new Error(outcome.why);
  });
});

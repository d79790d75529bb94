/**
 * `npm run conformance`: runs the rows of the conformance table against these plugins and, beside them, against the reference plugins.
 *
 *     --plugins <dir>     compare with these instead of Debian's containernetworking-plugins; may be repeated
 *     --alone             compare with none
 *     --rows 1-36,98      only these rows
 *     --record            writes the columns to test/conformance/record.json, from which the documents are generated
 *
 * CONFORMANCE_PLUGINS and CONFORMANCE_CONFLIST name a directory and a conflist to test instead of these plugins.
 * The exit code is 1 if a row fails in the first column (the others are for comparison), 2 if there is nothing to test.
 */
import { existsSync } from "node:fs";
import { parseArgs } from "node:util";
import { type Column, writeRecord } from "../test/conformance/record.ts";
import { runRow } from "../test/conformance/run.ts";
import { rows, sections } from "../test/conformance/sections.ts";
import { loadSubject, ownSource, referenceSource } from "../test/conformance/subject.ts";
import { terminalTable } from "../test/conformance/table.ts";
import { goPluginDir } from "../test/lib/suite.ts";

const { values } = parseArgs({
  options: {
    plugins: { type: "string", multiple: true },
    alone: { type: "boolean", default: false },
    rows: { type: "string" },
    record: { type: "boolean", default: false },
  },
});
if (process.getuid?.() !== 0) {
  console.error("cannot judge plugins: they make network namespaces, which needs root");
  process.exit(2);
}

const asked = rows.filter(({ number }) => values.rows === undefined || isAmong(number, values.rows));
const reference = existsSync(goPluginDir) ? [goPluginDir] : [];
const beside = values.alone ? [] : (values.plugins ?? reference);
const columns: Column[] = [];
for (const source of [ownSource(), ...beside.map((dir) => referenceSource(dir))]) {
  const subject = await loadSubject(source).catch(giveUp);
  const outcomes = [];
  for (const row of asked) {
    if (process.stderr.isTTY) process.stderr.write(`\r${subject.name}: row ${row.number} `);
    outcomes.push(await runRow(row, subject));
  }
  columns.push({ name: subject.name, outcomes });
}
if (process.stderr.isTTY) process.stderr.write("\r\u001b[K");
console.log(terminalTable(sections, columns));
if (values.record) writeRecord(columns);
process.exitCode = columns[0]?.outcomes.some(({ is }) => is === "fail") ? 1 : 0;

function giveUp(error: unknown): never {
  console.error((error as Error).message);
  process.exit(2);
}

function isAmong(number: number, ranges: string): boolean {
  return ranges.split(",").some((range) => {
    const [first = Number.NaN, last = first] = range.split("-").map(Number);
    return number >= first && number <= last;
  });
}

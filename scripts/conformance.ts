/**
 * `npm run conformance`: the rows of the conformance table against these plugins and, beside them, against the reference's.
 *
 *     --plugins <dir>     whom to put beside them, instead of Debian's containernetworking-plugins; may be given several times
 *     --alone             nobody beside them
 *     --rows 1-36,98      these rows alone
 *     --record            writes the columns into test/conformance/record.json, of which the documents are made
 *
 * CONFORMANCE_PLUGINS and CONFORMANCE_CONFLIST name a directory and a conflist to judge in the place of these plugins.
 * The exit status is 1 when a row fails in the first column (the others are for comparison), 2 when there is nothing to judge.
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

/**
 * `npm run crash`: runs all cases of the tests that kill, fail and storm the plugins, then writes the table of docs/reliability.md from their
 * records in build/reliability. `--table` only writes the table, from the latest records.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { execaSync } from "execa";
import { type Count, type ReliabilityRecord, type Row, recordDirectory, rows } from "../test/lib/faults/reliability.ts";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const page = join(root, "docs/reliability.md");
/** The format of `scripts/fuzz.ts`, which sums it over its runs. */
const fuzzFile = join(root, "build/fuzz/record.json");

const failed = process.argv.includes("--table") ? false : !testAll();
writeTable();
if (failed) process.exitCode = 1;

function testAll(): boolean {
  const rings = [
    ["--project", "unit", "test/unit/crash"],
    ["--project", "crash"],
    ["--project", "cluster", "test/cluster/plugins-storm.test.ts"],
  ];
  const options = {
    cwd: root,
    env: { TORTIE_CRASH: "full" },
    preferLocal: true,
    reject: false,
    stdio: "inherit",
  } as const;
  const runs = rings.map((ring) => execaSync("vitest", ["run", ...ring], options));
  return runs.every(({ failed }) => !failed);
}

function writeTable(): void {
  const text = readFileSync(page, "utf8");
  const table = [
    "| what | tried | left something | Go plugins: tried | left something |",
    "| --- | ---: | ---: | ---: | ---: |",
    ...rowLines(),
    ...fuzzLine(),
  ];
  const fresh = text.replace(
    /<!-- reliability -->[\s\S]*?<!-- \/reliability -->/,
    `<!-- reliability -->\n${table.join("\n")}\n<!-- /reliability -->`,
  );
  writeFileSync(page, fresh);
}

/** Sums the parts of each row; rows without a record are left out. */
function rowLines(): readonly string[] {
  const records = recordFiles().map((file) => readJson(file) as ReliabilityRecord);
  return (Object.keys(rows) as Row[]).flatMap((row) => {
    const own = records.filter((one) => one.row === row);
    const go = own.flatMap((one) => one.go ?? []);
    if (own.length === 0) return [];
    return [`| ${rows[row]} | ${counted(own)} | ${go.length === 0 ? "|" : counted(go)} |`];
  });
}

function counted(counts: readonly Count[]): string {
  const sum = (key: keyof Count) => counts.reduce((total, one) => total + one[key], 0).toLocaleString("en");
  return `${sum("tried")} | ${sum("left")}`;
}

/** The fuzzer's findings are fixed as they appear, so its row shows how much was tried. */
function fuzzLine(): readonly string[] {
  if (!existsSync(fuzzFile)) return [];
  const targets = readJson(fuzzFile) as readonly { readonly executions: number; readonly seconds: number }[];
  const sum = (key: "executions" | "seconds") => targets.reduce((total, one) => total + one[key], 0);
  const hours = (sum("seconds") / 3600).toFixed(1);
  return [`| executions of the fuzzers, in ${hours} hours | ${sum("executions").toLocaleString("en")} | | | |`];
}

function recordFiles(): readonly string[] {
  if (!existsSync(recordDirectory)) return [];
  return readdirSync(recordDirectory)
    .filter((file) => file.endsWith(".json"))
    .map((file) => join(recordDirectory, file));
}

function readJson(file: string): unknown {
  return JSON.parse(readFileSync(file, "utf8"));
}

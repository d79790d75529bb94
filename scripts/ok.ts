/** `npm run ok`: format and lint, types, documents and unit tests in parallel; runs all of them and prints the output of each when it ends. */
import { execa } from "execa";
import { setup as generateModules } from "./validators.ts";

// A worker loads each module once for all its files: the unit tests keep no state in modules.
const checks = [
  "vitest run --project unit --no-isolate",
  "tsc --noEmit",
  "biome check .",
  "tsx scripts/docs.ts --check",
];

// The types and the tests need the generated files.
await generateModules();
const passed = await Promise.all(checks.map(check));
process.exitCode = passed.every(Boolean) ? 0 : 1;

async function check(line: string): Promise<boolean> {
  const { exitCode, all } = await execa({ all: true, reject: false, preferLocal: true })`${line.split(" ")}`;
  console.log(`${exitCode === 0 ? "ok" : "not ok"}: ${line}\n${all}`.trimEnd());
  return exitCode === 0;
}

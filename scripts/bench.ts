/**
 * `npm run bench`: compares our chain with Debian's Go chain (ptp, host-local, bandwidth, portmap) and with other builds of ours (`--beside`).
 * `bench/driver.c` drives all of them in the same way, each suite on its own nodes (`bench/measure.ts`).
 */
import { join } from "node:path";
import yargs from "yargs";
import { goPluginDir, root } from "../test/lib/suite.ts";
import { compare, comparisonTable } from "./bench/comparison.ts";
import { countInstructions, instructionsTable } from "./bench/instructions.ts";
import { benchIpam, ipamTable, isFlat } from "./bench/ipam.ts";
import { buildDriver, measure, type Suite, workDir } from "./bench/measure.ts";
import { scenarios } from "./bench/scenarios.ts";

const names = scenarios.map(({ name }) => name);
const options = await yargs(process.argv.slice(2))
  .scriptName("npm run bench --")
  .option("rounds", { type: "number", default: 30, describe: "rounds to measure, after two to warm up" })
  .option("quick", { type: "boolean", default: false, describe: "5 rounds: to see that it runs, not to quote" })
  .option("parallel", { type: "number", default: 8, describe: "pods at once" })
  .option("pods", { array: true, choices: names, default: names, describe: "which pods, and on which nodes" })
  .option("output", {
    alias: "o",
    choices: ["table", "json"] as const,
    default: "table",
    describe: "form of the result",
  })
  .option("plugins", { type: "string", default: join(root, "dist/bin"), describe: "directory of our executables" })
  .option("go", { type: "string", default: goPluginDir, describe: "directory of the Go plugins" })
  .option("beside", { type: "string", array: true, default: [], describe: "directories of other builds of ours" })
  .option("ipam", { type: "boolean", default: false, describe: "calico-ipam alone, with few addresses and with many" })
  .option("instructions", { type: "boolean", default: false, describe: "instructions and system calls of ours alone" })
  .option("check", { type: "boolean", default: false, describe: "fail when a ratio is above its target" })
  .strict()
  .help().argv;

const rounds = options.quick ? 5 : options.rounds;
const wanted = scenarios.filter(({ name }) => options.pods.includes(name));
if (options.ipam) await compareIpam();
else if (options.instructions) await count();
else await compareChains();

async function compareChains(): Promise<void> {
  const { parallel } = options;
  const others: readonly Suite[] = [
    { name: "go", list: "go", directory: options.go },
    ...options.beside.map((directory, index) => ({ name: `beside${index || ""}`, list: "ours", directory }) as const),
  ];
  const suites: readonly Suite[] = [...others, { name: "ours", list: "ours", directory: options.plugins }];
  const measures = await measure({ suites, scenarios: wanted, rounds, parallel });
  const comparisons = others.flatMap(({ name }) => compare(measures, name));
  if (options.output === "json") console.log(JSON.stringify({ rounds, parallel, comparisons }, undefined, 2));
  else console.log(comparisonTable(comparisons, parallel));
  if (options.check && comparisons.some(({ met }) => !met)) process.exitCode = 1;
}

async function count(): Promise<void> {
  const counts = await countInstructions(options.plugins, wanted);
  console.log(options.output === "json" ? JSON.stringify(counts, undefined, 2) : instructionsTable(counts));
}

async function compareIpam(): Promise<void> {
  const { plugins, go, output } = options;
  const lines = await benchIpam({ driver: buildDriver(), workDir, rounds, plugins, go });
  console.log(output === "json" ? JSON.stringify({ rounds, lines }, undefined, 2) : ipamTable(lines));
  if (options.check && lines.some((line) => !isFlat(line))) process.exitCode = 1;
}

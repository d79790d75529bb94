/**
 * `npm run bench`: compares our chain with Debian's Go chain (ptp, host-local, bandwidth, portmap), with the floor (`bench/floor.c`) and with other builds
 * of ours (`--beside`). `bench/driver.c` drives all of them in the same way, each suite on its own nodes (`bench/measure.ts`).
 */
import { join } from "node:path";
import yargs from "yargs";
import { goPluginDir, root } from "../test/lib/suite.ts";
import { compare, comparisonTable } from "./bench/comparison.ts";
import { buildFloor } from "./bench/floor.ts";
import { benchGc, gcTable } from "./bench/gc.ts";
import { benchGrowth, growthTable, isFlatGrowth } from "./bench/growth.ts";
import { countInstructions, instructionsTable } from "./bench/instructions.ts";
import { benchIpam, ipamTable, isFlat } from "./bench/ipam.ts";
import { buildDriver, measure, nodesFor, type Suite, workDir } from "./bench/measure.ts";
import { comparisonPlot, growthPlot } from "./bench/plot.ts";
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
    choices: ["table", "json", "svg"] as const,
    default: "table",
    describe: "form of the result",
  })
  .option("plugins", { type: "string", default: join(root, "dist/bin"), describe: "directory of our executables" })
  .option("go", { type: "string", default: goPluginDir, describe: "directory of the Go plugins" })
  .option("beside", { type: "string", array: true, default: [], describe: "directories of other builds of ours" })
  .option("floor", { type: "boolean", default: true, describe: "the kernel's work alone, in C, as another suite" })
  .option("growth", { type: "boolean", default: false, describe: "ours on nodes with up to 10,000 objects of others" })
  .option("gc", { type: "boolean", default: false, describe: "GC of up to 1,000 lost attachments" })
  .option("ipam", { type: "boolean", default: false, describe: "calico-ipam alone, with few addresses and with many" })
  .option("instructions", { type: "boolean", default: false, describe: "instructions and system calls of ours alone" })
  .option("check", { type: "boolean", default: false, describe: "fail when a ratio is above its target" })
  .strict()
  .help().argv;

const rounds = options.quick ? 5 : options.rounds;
const wanted = scenarios.filter(({ name }) => options.pods.includes(name));
const full = scenarios.find(({ name }) => name === "full");
if (options.ipam) await compareIpam();
else if (options.growth) await compareGrowth();
else if (options.gc) await collect();
else if (options.instructions) await count();
else await compareChains();

async function compareChains(): Promise<void> {
  const { parallel } = options;
  const others: readonly Suite[] = [
    { name: "go", list: "go", directory: options.go },
    ...(options.floor ? buildFloor() : []),
    ...options.beside.map((directory, index) => ({ name: `beside${index || ""}`, list: "ours", directory }) as const),
  ];
  const suites: readonly Suite[] = [...others, { name: "ours", list: "ours", directory: options.plugins }];
  const measures = await measure({ nodes: nodesFor(suites, wanted), rounds, parallel });
  const comparisons = others.flatMap(({ name }) => compare(measures, name));
  print({ rounds, parallel, comparisons }, comparisonTable(comparisons, parallel), () => comparisonPlot(measures));
  if (options.check && comparisons.some(({ met }) => !met)) process.exitCode = 1;
}

async function count(): Promise<void> {
  const counts = await countInstructions(options.plugins, wanted);
  print(counts, instructionsTable(counts));
}

async function compareIpam(): Promise<void> {
  const { plugins, go } = options;
  const lines = await benchIpam({ driver: buildDriver(), workDir, rounds, plugins, go });
  print({ rounds, lines }, ipamTable(lines));
  if (options.check && lines.some((line) => !isFlat(line))) process.exitCode = 1;
}

async function compareGrowth(): Promise<void> {
  if (full === undefined) return;
  const suite: Suite = { name: "ours", list: "ours", directory: options.plugins };
  const sizes = options.quick ? [0, 100, 1_000] : [0, 100, 1_000, 10_000];
  const lines = await benchGrowth({ suite, scenario: full, sizes, rounds });
  print({ rounds, lines }, growthTable(lines), () => growthPlot(lines));
  if (options.check && lines.some((line) => !isFlatGrowth(line))) process.exitCode = 1;
}

async function collect(): Promise<void> {
  if (full === undefined) return;
  const lines = await benchGc(options.plugins, full, options.quick ? [1, 30] : [1, 100, 1_000]);
  print(lines, gcTable(lines));
}

/** `svg`: absent if there is no plot of the result. */
function print(document: unknown, table: string, svg?: () => string): void {
  if (options.output === "json") console.log(JSON.stringify(document, undefined, 2));
  else if (options.output === "svg" && svg !== undefined) console.log(svg());
  else console.log(table);
}

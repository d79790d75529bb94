/**
 * `npm run bench`: our chain against Debian's Go chain (ptp, host-local, bandwidth, portmap), driven alike by `bench/driver.c`.
 *
 * Each round runs both chains on one private node, one after the other and in turned order; a figure is the median over the rounds of
 * the ratio within a round, which the machine's ups and downs touch least. Go's ptp does not masquerade here, ours does.
 *
 * The node has one other pod of each chain, as nodes have; with `--no-standing` it has none, and each ADD is that of a node's first pod
 * (which makes the shared nf_tables, and the kernel's connection tracking with them) and each DEL that of its last.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import yargs from "yargs";
import { type Conflist, loadConflist, parseConflist } from "../test/lib/conflist.ts";
import { Node } from "../test/lib/node/netns.ts";
import { Runner, requestOf } from "../test/lib/runtimes/runner.ts";
import { goPluginDir } from "../test/lib/suite.ts";
import { benchIpam, ipamTable, isFlat } from "./bench/ipam.ts";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const workDir = join(root, "build/bench");
const warmUpRounds = 2;

const options = await yargs(process.argv.slice(2))
  .scriptName("npm run bench --")
  .option("rounds", { type: "number", default: 30, describe: "rounds to measure, after two to warm up" })
  .option("quick", { type: "boolean", default: false, describe: "5 rounds: to see that it runs, not to quote" })
  .option("parallel", { type: "number", default: 8, describe: "pods at once" })
  .option("output", {
    alias: "o",
    choices: ["table", "json"] as const,
    default: "table",
    describe: "form of the result",
  })
  .option("standing", { type: "boolean", default: true, describe: "leave one pod of each chain on the node" })
  .option("plugins", { type: "string", default: join(root, "dist/bin"), describe: "directory of our executables" })
  .option("go", { type: "string", default: goPluginDir, describe: "directory of the Go plugins" })
  .option("ipam", { type: "boolean", default: false, describe: "calico-ipam alone, with few addresses and with many" })
  .option("check", { type: "boolean", default: false, describe: "fail when a ratio is above its target" })
  .strict()
  .help().argv;

/** One line of the driver. */
interface Measure {
  readonly chain: string;
  readonly operation: string;
  readonly round: number;
  readonly wallUs: number;
  readonly cpuUs: number;
  readonly peakKib: number;
}

/** One line of the table: medians of both sides and the medians of the ratios within a round. */
interface Comparison {
  readonly pod: string;
  readonly operation: string;
  readonly goWallMs: number;
  readonly ourWallMs: number;
  readonly wall: number;
  readonly cpu: number;
  readonly peak: number;
  readonly target: { readonly wall?: number; readonly cpu?: number; readonly peak?: number };
  readonly met: boolean;
}

const targets: Readonly<Record<string, Comparison["target"]>> = {
  "full add": { wall: 0.25, cpu: 0.25, peak: 0.7 },
  "plain add": { wall: 0.5, peak: 0.7 },
  "full del": { wall: 0.6, peak: 0.7 },
};

const capabilities = {
  portMappings: [{ hostPort: "@hostPort@", containerPort: 80, protocol: "tcp" }],
  bandwidth: { ingressRate: 1e8, ingressBurst: 8e6, egressRate: 1e8, egressBurst: 8e6 },
};

const goList = parseConflist(
  JSON.stringify({
    name: "go-bench",
    cniVersion: "1.0.0",
    plugins: [
      { type: "ptp", ipam: { type: "host-local", subnet: "10.210.0.0/16", routes: [{ dst: "0.0.0.0/0" }] } },
      { type: "bandwidth", capabilities: { bandwidth: true } },
      { type: "portmap", snat: true, capabilities: { portMappings: true } },
    ],
  }),
);

const ourList = loadConflist(join(root, "conf-examples/10-calico.conflist"), { newest: "1.0.0" });

if (options.ipam) await compareIpam();
else await compareChains();

async function compareChains(): Promise<void> {
  const measures = await measure();
  const comparisons = ["plain", "full"].flatMap((pod) =>
    ["add", "del", "add-parallel", "del-parallel"].map((operation) => compare(pod, operation, measures)),
  );
  console.log(options.output === "json" ? JSON.stringify(report(comparisons), undefined, 2) : table(comparisons));
  if (options.check && comparisons.some(({ met }) => !met)) process.exitCode = 1;
}

async function compareIpam(): Promise<void> {
  const { plugins, go } = options;
  const rounds = options.quick ? 5 : options.rounds;
  const lines = await benchIpam({ driver: buildDriver(), workDir, rounds, plugins, go });
  console.log(options.output === "json" ? JSON.stringify({ rounds, lines }, undefined, 2) : ipamTable(lines));
  if (options.check && lines.some((line) => !isFlat(line))) process.exitCode = 1;
}

async function measure(): Promise<readonly Measure[]> {
  const driver = buildDriver();
  const plan = writePlan();
  const rounds = (options.quick ? 5 : options.rounds) + warmUpRounds;
  const node = await Node.start("bench");
  try {
    for (let i = 0; i < options.parallel; i++) node.addPod(`bench${i}`);
    if (options.standing) addStandingPods(node);
    const argv = [driver, plan, String(rounds), String(options.parallel)];
    const { status, stdout, stderr } = node.run(argv, { timeoutMs: 30 * 60_000 });
    if (status !== 0) throw new Error(`cannot measure: ${stderr.trim()}`);
    return stdout
      .trim()
      .split("\n")
      .map(parseMeasure)
      .filter(({ round }) => round >= warmUpRounds);
  } finally {
    await node.stop();
  }
}

function addStandingPods(node: Node): void {
  const lists = { go: goList, ours: ourList };
  for (const [index, [side, list]] of Object.entries(lists).entries()) {
    const ports = [{ hostPort: 19_000 + index, containerPort: 80, protocol: "tcp" }];
    const netns = node.addPod(`standing-${side}`);
    const runner = new Runner({ node, pluginDirs: side === "go" ? [options.go] : [options.plugins, options.go] });
    const standing = { ...capabilities, portMappings: ports };
    runner.add(list, { containerId: `standing-${side}`, netns, ifname: "eth0", capabilities: standing });
  }
}

/** Static and small: its own size would otherwise show in what it measures (a child begins as a copy of its parent). */
function buildDriver(): string {
  mkdirSync(workDir, { recursive: true });
  const driver = join(workDir, "driver");
  execFileSync("musl-gcc", ["-static", "-O2", "-Wall", "-Werror", "-o", driver, join(root, "scripts/bench/driver.c")], {
    stdio: ["ignore", "inherit", "inherit"],
  });
  return driver;
}

function writePlan(): string {
  const lines = [`path CNI_PATH=${options.plugins}:${options.go}`];
  for (const pod of ["plain", "full"]) {
    lines.push(...chainLines(`go-${pod}`, goList, options.go, pod === "full"));
    lines.push(...chainLines(`ours-${pod}`, ourList, options.plugins, pod === "full"));
  }
  const plan = join(workDir, "plan");
  writeFileSync(plan, `${lines.join("\n")}\n`);
  return plan;
}

/** The first plugin gets a `null` as its prevResult, which libcni would leave out: both sides read it as absent. */
function chainLines(name: string, list: Conflist, directory: string, full: boolean): readonly string[] {
  const sandbox = { containerId: "", netns: "", ifname: "eth0", ...(full && { capabilities }) };
  return [
    `chain ${name}`,
    ...list.plugins.map((plugin, i) => {
      const path = join(directory, plugin.type);
      if (!existsSync(path)) throw new Error(`cannot measure ${name}: no plugin at ${path}`);
      const request = { ...requestOf(list, plugin, { sandbox }), prevResult: "@prevResult@" };
      const file = join(workDir, `${name}-${i}.json`);
      writeFileSync(file, JSON.stringify(request));
      return `plugin ${path} ${file}`;
    }),
  ];
}

function parseMeasure(line: string): Measure {
  const [chain = "", operation = "", ...numbers] = line.split(" ");
  const [round = 0, wallUs = 0, cpuUs = 0, peakKib = 0] = numbers.map(Number);
  return { chain, operation, round, wallUs, cpuUs, peakKib };
}

function compare(pod: string, operation: string, all: readonly Measure[]): Comparison {
  const of = (side: string) => all.filter((each) => each.chain === `${side}-${pod}` && each.operation === operation);
  const [go, ours] = [of("go"), of("ours")];
  const ratio = (value: (measure: Measure) => number): number =>
    median(
      ours.flatMap((mine) => {
        const other = go.find(({ round }) => round === mine.round);
        return other === undefined ? [] : [value(mine) / value(other)];
      }),
    );
  const target = targets[`${pod} ${operation}`] ?? {};
  const found = {
    wall: ratio(({ wallUs }) => wallUs),
    cpu: ratio(({ cpuUs }) => cpuUs),
    peak: ratio(({ peakKib }) => peakKib),
  };
  return {
    pod,
    operation,
    goWallMs: median(go.map(({ wallUs }) => wallUs)) / 1000,
    ourWallMs: median(ours.map(({ wallUs }) => wallUs)) / 1000,
    ...found,
    target,
    met: (["wall", "cpu", "peak"] as const).every((key) => found[key] <= (target[key] ?? Number.POSITIVE_INFINITY)),
  };
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? (sorted[middle] ?? 0) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
}

function report(lines: readonly Comparison[]): object {
  const { quick, rounds, parallel, standing } = options;
  return { rounds: quick ? 5 : rounds, parallel, standing, comparisons: lines };
}

function table(lines: readonly Comparison[]): string {
  const rows = lines.map((line) => [
    line.pod,
    line.operation.replace("-parallel", ` x${options.parallel}`),
    line.goWallMs.toFixed(1),
    line.ourWallMs.toFixed(1),
    ...(["wall", "cpu", "peak"] as const).map((key) => ratioText(line[key], line.target[key])),
  ]);
  const head = ["pod", "operation", "Go ms", "ours ms", "wall ratio", "CPU ratio", "memory ratio"];
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]?.length ?? 0)));
  const text = [head, ...rows].map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join("  ")
      .trimEnd(),
  );
  return [...text, "", "ratio: ours to Go's, median over the rounds; (target: passed or MISSED)"].join("\n");
}

function ratioText(ratio: number, target: number | undefined): string {
  if (target === undefined) return ratio.toFixed(2);
  return `${ratio.toFixed(2)} (${target.toFixed(2)}: ${ratio <= target ? "passed" : "MISSED"})`;
}

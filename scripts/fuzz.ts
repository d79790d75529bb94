/**
 * Fuzzes the native host, the engine and the TypeScript on it: `tsx scripts/fuzz.ts [--seconds N] [--target NAME]… [--minimize]`.
 *
 *     test/fuzz/corpus/<target>/   committed inputs that reach distinct code: replayed, then mutated
 *     test/fuzz/findings/<target>/ inputs of former findings: replayed each time
 *     build/fuzz/corpus/<target>/  inputs found on this machine; `--minimize` adds what they reach to the committed corpus
 *     build/fuzz/record.json       the work done, summed over runs
 *
 * The targets share the seconds. Exits with code 1 and names the input if there was a finding.
 */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { execa, execaSync } from "execa";
import { buildFuzzTargets, executableOf, fuzzDirectory, scriptTargets } from "./fuzz/build.ts";
import { writeSeeds } from "./fuzz/seeds.ts";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const source = join(root, "test/fuzz");
const recordFile = join(root, "build/fuzz/record.json");
/** Sufficient for each target's inputs; larger ones are slower and reach nothing more. */
const maxInputBytes = 4096;
const limits = ["-timeout=20", "-rss_limit_mb=3000", `-max_len=${maxInputBytes}`];
/** With the same addresses in every process, the same input reaches the same counters. */
const sameAddresses = ["setarch", "-R"];
const sanitizerOptions =
  "log_path=stderr:detect_leaks=0:allocator_may_return_null=1:quarantine_size_mb=32:malloc_context_size=2:print_stacktrace=1";

const env = { ASAN_OPTIONS: sanitizerOptions, UBSAN_OPTIONS: sanitizerOptions, PATH: "/usr/bin:/bin" };
export const allTargets: readonly string[] = [...scriptTargets, "heap"];

export interface FuzzRecord {
  readonly target: string;
  readonly executions: number;
  readonly seconds: number;
  readonly findings: number;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seconds: { type: "string", default: "60" },
      target: { type: "string", multiple: true, default: [...allTargets] },
      minimize: { type: "boolean", default: false },
    },
  });
  const unknown = values.target.filter((name) => !allTargets.includes(name));
  if (unknown.length > 0) {
    console.error(`cannot fuzz ${unknown.join(", ")}: there are ${allTargets.join(", ")}`);
    process.exit(2);
  }
  await buildFuzzTargets();
  writeSeeds(join(fuzzDirectory, "corpus"));
  if (values.minimize) {
    for (const target of values.target) minimize(target);
    return;
  }
  const records = await fuzz(values.target, Number(values.seconds));
  for (const { target, executions, seconds, findings } of records) {
    console.log(`${target.padEnd(10)} ${executions} executions in ${seconds} s, ${findings} findings`);
  }
  if (records.some(({ findings }) => findings > 0)) process.exit(1);
}

export interface FuzzOptions {
  /** Start from the committed inputs alone, and keep no new ones. */
  readonly fromCommitted?: boolean;
}

/** Fuzzes each target for its share of the seconds. */
export async function fuzz(
  targets: readonly string[],
  seconds: number,
  { fromCommitted = false }: FuzzOptions = {},
): Promise<readonly FuzzRecord[]> {
  const records: FuzzRecord[] = [];
  for (const target of targets) {
    const share = Math.max(1, Math.round(seconds / targets.length));
    const own = fromCommitted ? mkdtempSync(join(fuzzDirectory, "fresh-")) : found(target);
    const record = await fuzzOne(target, share, own);
    if (fromCommitted) rmSync(own, { recursive: true, force: true });
    addToRecord(record);
    records.push(record);
  }
  return records;
}

/** Runs each committed input of a target once. Returns the output, and whether all passed. */
export function replay(target: string): { readonly passed: boolean; readonly output: string } {
  const directories = [committed(target), known(target)].filter((directory) => existsSync(directory));
  const inputs = directories.flatMap((directory) => readdirSync(directory).map((file) => join(directory, file)));
  if (inputs.length === 0) return { passed: false, output: `there are no inputs for ${target}` };
  const { failed, stdout, stderr } = execaSync(executableOf(target), [...limits, ...inputs], {
    env,
    extendEnv: false,
    reject: false,
  });
  return failed ? { passed: false, output: stderr } : { passed: true, output: stdout };
}

function committed(target: string): string {
  return join(source, "corpus", target);
}

function known(target: string): string {
  return join(source, "findings", target);
}

function found(target: string): string {
  return join(fuzzDirectory, "corpus", target);
}

/** Fuzzes one target; new inputs go to the directory `own`. */
async function fuzzOne(target: string, seconds: number, own: string): Promise<FuzzRecord> {
  const artifacts = join(fuzzDirectory, "artifacts", target);
  for (const directory of [own, artifacts, committed(target)]) mkdirSync(directory, { recursive: true });
  const before = readdirSync(artifacts).length;
  const argv = [
    ...limits,
    `-max_total_time=${seconds}`,
    `-artifact_prefix=${artifacts}/`,
    "-print_final_stats=1",
    ...dictionary(target),
    ...[own, committed(target), known(target)].filter((directory) => existsSync(directory)),
  ];
  const [program = "", ...first] = sameAddresses;
  const options = { env, extendEnv: false, stdio: ["ignore", "ignore", "pipe"], buffer: false, reject: false } as const;
  const child = execa(program, [...first, executableOf(target), ...argv], options);
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    // Only the end matters: a finding, or the totals.
    said = (said + text).slice(-20_000);
  });
  const started = performance.now();
  const { exitCode, signal, failed } = await child;
  // The working directory of the target `native`.
  rmSync(`/tmp/tortie-fuzz-${child.pid}`, { recursive: true, force: true });
  const artifactsNow = readdirSync(artifacts).length;
  if (failed) console.error(`${target}: ${signal ?? `status ${exitCode}`}, see ${artifacts}:\n${said.slice(-6000)}`);
  return {
    target,
    executions: Number(/stat::number_of_executed_units:\s+(\d+)/.exec(said)?.[1] ?? 0),
    seconds: Math.round((performance.now() - started) / 1000),
    findings: !failed ? 0 : Math.max(1, artifactsNow - before),
  };
}

function dictionary(target: string): readonly string[] {
  const file = join(source, "dictionaries", `${target}.txt`);
  return existsSync(file) ? [`-dict=${file}`] : [];
}

/** Reduces the committed corpus to the smallest one that covers what it and this machine's corpus reach, whatever the hit counts. */
function minimize(target: string): void {
  const merged = `${committed(target)}.new`;
  rmSync(merged, { recursive: true, force: true });
  mkdirSync(merged, { recursive: true });
  const [program = "", ...first] = sameAddresses;
  const from = [committed(target), found(target)].filter((directory) => existsSync(directory));
  const argv = [...first, executableOf(target), ...limits, "-merge=1", "-use_counters=0", merged, ...from];
  execaSync(program, argv, { env, extendEnv: false });
  rmSync(committed(target), { recursive: true, force: true });
  renameSync(merged, committed(target));
}

function addToRecord(record: FuzzRecord): void {
  mkdirSync(dirname(recordFile), { recursive: true });
  const before = existsSync(recordFile) ? (JSON.parse(readFileSync(recordFile, "utf8")) as readonly FuzzRecord[]) : [];
  const all = [...before, record];
  const sums = [...new Set(all.map(({ target }) => target))].map((target) => {
    const own = all.filter((one) => one.target === target);
    const sum = (key: "executions" | "seconds" | "findings") => own.reduce((total, one) => total + one[key], 0);
    return { target, executions: sum("executions"), seconds: sum("seconds"), findings: sum("findings") };
  });
  writeFileSync(recordFile, `${JSON.stringify(sums, undefined, 2)}\n`);
}

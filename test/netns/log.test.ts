/** The log with many concurrent processes, on the native host: every line is complete and appears once. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { buildExecutable } from "../../scripts/build/executable.ts";
import type { Rotation } from "../../src/log/rolling-file.ts";
import type { LogJob } from "../lib/programs/log-writer.ts";
import { ourPluginDir, requireBuild, root } from "../lib/suite.ts";

const targetDirectory = join(root, "build/test-bin-log");
const keepAll: Rotation = { maxBytes: 64 * 1024, maxAgeMs: 86_400_000, maxCount: 1_000_000 };
let directory: string;

beforeAll(async () => {
  requireBuild();
  const program = `
    import { quickjsSys } from "./src/host/quickjs.ts";
    import { runLogWriter } from "./test/lib/programs/log-writer.ts";
    export const main = () => runLogWriter(quickjsSys);
  `;
  await buildExecutable({
    programs: { "log-writer": program },
    workDirectory: join(root, "build/log-writer"),
    targetDirectory,
    define: {},
  });
});

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "tortie-log-"));
});

afterEach(() => {
  rmSync(directory, { recursive: true });
});

test("rollingFile() with 16 processes, 10,000 lines each and a limit of 64 KiB: no line is lost, torn or duplicated", async () => {
  await write(16, { lines: 10_000, rotation: keepAll });
  const seen = linesOf(directory).map(readLine);
  expect(seen.length).toBe(160_000);
  expect(new Set(seen.map(({ writer, line }) => writer * 10_000 + line)).size).toBe(160_000);
  const sizes = rotatedFiles().map((name) => statSync(join(directory, name)).size);
  expect(sizes.length).toBeGreaterThan(50);
  expect(sizes.filter((size) => size < keepAll.maxBytes)).toEqual([]);
});

test("rollingFile() keeps each writer's last lines without a gap while other processes remove old files", async () => {
  await write(16, { lines: 2_000, rotation: { ...keepAll, maxBytes: 2048, maxCount: 2 } });
  expect(rotatedFiles().length).toBeLessThanOrEqual(2);
  const kept = new Map<number, number[]>();
  for (const { writer, line } of linesOf(directory).map(readLine))
    kept.set(writer, [...(kept.get(writer) ?? []), line]);
  expect(kept.size).toBeGreaterThan(0);
  for (const lines of kept.values()) {
    const first = 2_000 - lines.length;
    expect(lines.sort((a, b) => a - b)).toEqual(lines.map((_, index) => first + index));
  }
});

test("rollingFile(): a killed process neither blocks the others nor damages their lines", async () => {
  const path = join(directory, "cni.log");
  const rotation = { ...keepAll, maxBytes: 16_384 };
  const doomed = Array.from({ length: 8 }, (_, writer) => start({ path, writer: 100 + writer, lines: 1e9, rotation }));
  const written = write(8, { lines: 5_000, rotation });
  for (const { child } of doomed) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    child.kill("SIGKILL");
  }
  await written;
  await Promise.all(doomed.map(({ ended }) => ended));
  const survivors = linesOf(directory).flatMap((text) => (/"writer":\d,/.test(text) ? [readLine(text)] : []));
  expect(survivors.length).toBe(40_000);
  expect(new Set(survivors.map(({ writer, line }) => writer * 5_000 + line)).size).toBe(40_000);
});

describe("the plugins themselves", () => {
  test("16 at once, by the keys of their configuration: each line is there, and the file is rotated at a megabyte", async () => {
    const path = join(directory, "deep/er/cni.log");
    const padding = "x".repeat(30_000);
    for (let round = 0; round < 12; round++) {
      const runs = Array.from({ length: 16 }, (_, n) =>
        plugin({ log_level: "Debug", log_file_path: path, log_file_max_size: 1, padding }, `${round}-${n}`),
      );
      for (const { status } of await Promise.all(runs)) expect(status).toBe(0);
    }
    const lines = linesOf(join(directory, "deep/er")).map(
      (text) => JSON.parse(text) as { containerID: string; msg: string },
    );
    const wanted = Array.from({ length: 192 }, (_, n) => `${Math.floor(n / 16)}-${n % 16}`);
    expect(lines.map(({ containerID, msg }) => `${containerID} ${msg}`).sort()).toEqual(
      wanted.flatMap((id) => [`${id} begin`, `${id} end`]).sort(),
    );
    const files = rotatedFiles(join(directory, "deep/er"));
    expect(files.length).toBeGreaterThanOrEqual(4);
    for (const name of files) expect(name).toMatch(/^cni-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}\.log$/);
  });

  test.each<[string, (path: string) => void]>([
    ["a link to another file", (path) => symlinkSync(join(directory, "victim"), path)],
    ["a link to nothing", (path) => symlinkSync(join(directory, "nothing"), path)],
    ["a FIFO that nobody reads", (path) => execFileSync("mkfifo", [path])],
    ["a directory", (path) => mkdirSync(path)],
    ["a link in the place of the lock", (path) => symlinkSync(join(directory, "nothing"), `${path}.lock`)],
    [
      "a file in its directory's place",
      (path) => {
        rmdirSync(dirname(path));
        writeFileSync(dirname(path), "");
      },
    ],
  ])("with %s in the log's place do their work, follow nothing and wait for nobody", async (_, plant) => {
    writeFileSync(join(directory, "victim"), "precious");
    const path = join(directory, "log/cni.log");
    mkdirSync(dirname(path));
    plant(path);
    const { status, stdout } = await plugin({ log_level: "debug", log_file_path: path, log_file_max_size: 1 }, "c1");
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toEqual(prevResult);
    expect(readFileSync(join(directory, "victim"), "utf8")).toBe("precious");
    expect(existsSync(join(directory, "nothing"))).toBe(false);
  });

  test("write nothing to stderr when they succeed, whatever the file says, and at debug what the file says", async () => {
    const path = join(directory, "cni.log");
    for (const log_level of [undefined, "info", "Warning", "error", "verbose"]) {
      expect(await plugin({ log_level, log_file_path: path }, "c1")).toMatchObject({ status: 0, stderr: "" });
    }
    const { stderr } = await plugin({ log_level: "DEBUG", log_file_path: path }, "c1");
    expect(stderr).toBe(readFileSync(path, "utf8"));
  });

  test("write to stderr what went wrong when they fail, and the same to the file", async () => {
    const path = join(directory, "cni.log");
    const { status, stderr } = await plugin({ log_file_path: path, ingressRate: 1 }, "c1");
    expect(status).toBe(1);
    expect(JSON.parse(stderr)).toMatchObject({ level: 50, plugin: "bandwidth", command: "ADD", containerID: "c1" });
    expect(readFileSync(path, "utf8")).toBe(stderr);
  });
});

const prevResult = { cniVersion: "1.1.0", ips: [{ address: "10.0.0.5/32" }] };

/** `bandwidth` without limits: it only passes the result on. */
function plugin(conf: object, containerId: string): Promise<Ended> {
  const sandbox = { CNI_NETNS: "/proc/self/ns/net", CNI_NETNS_OVERRIDE: "1", CNI_IFNAME: "eth0" };
  const environment = { CNI_COMMAND: "ADD", CNI_CONTAINERID: containerId, ...sandbox };
  const request = { cniVersion: "1.1.0", name: "net1", type: "bandwidth", prevResult, ...conf };
  return spawned(join(ourPluginDir, "bandwidth"), [], { environment, stdin: JSON.stringify(request) }).ended;
}

function readLine(text: string): { readonly writer: number; readonly line: number } {
  return JSON.parse(text) as { writer: number; line: number };
}

function rotatedFiles(of = directory): readonly string[] {
  return readdirSync(of).filter((name) => name.startsWith("cni-"));
}

async function write(processes: number, job: Omit<LogJob, "path" | "writer">): Promise<void> {
  const path = join(directory, "cni.log");
  const started = Array.from({ length: processes }, (_, writer) => start({ ...job, path, writer }));
  const ends = await Promise.all(started.map(({ ended }) => ended));
  expect(ends).toEqual(ends.map(() => ({ status: 0, stdout: "", stderr: "" })));
}

interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

interface Started {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
}

function start(job: LogJob): Started {
  return spawned(join(targetDirectory, "log-writer"), [JSON.stringify(job)], { environment: {}, stdin: "" });
}

function spawned(
  program: string,
  args: readonly string[],
  { environment, stdin }: { readonly environment: Readonly<Record<string, string>>; readonly stdin: string },
): Started {
  const child = spawn(program, args, { env: environment, stdio: "pipe" });
  const texts = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name].setEncoding("utf8").on("data", (text: string) => {
      texts[name] += text;
    });
  }
  child.stdin.on("error", () => undefined).end(stdin);
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (status) => resolve({ status, ...texts }));
  });
  return { child, ended };
}

function linesOf(directory: string): readonly string[] {
  const files = readdirSync(directory).filter((name) => name.endsWith(".log"));
  return files.flatMap((name) => readFileSync(join(directory, name), "utf8").split("\n").slice(0, -1));
}

/** Other programs, for `Sys` on Node: run to their end, and the one that connects to a Unix socket. */
import { spawnSync } from "node:child_process";
import { constants } from "node:os";
import { getSystemErrorMap } from "node:util";
import type { RunOptions, RunResult } from "../sys.ts";

const outputLimit = 64 * 1024 * 1024;

/** The error that `Sys` specifies for an errno name; the text is libuv's. */
export function failure(code: string, syscall: string, object?: string): Error {
  const number = (constants.errno as Readonly<Record<string, number>>)[code];
  const text = (number !== undefined && getSystemErrorMap().get(-number)?.[1]) || code;
  const message = [syscall, object].filter((part) => part !== undefined).join(" ");
  return Object.assign(new Error(`${message}: ${text}`), { code, syscall });
}

export function run(argv: readonly string[], options: RunOptions): RunResult {
  const [program = "", ...rest] = argv;
  const result = spawnSync(program, rest, {
    env: { ...options.env },
    input: options.stdin,
    timeout: options.timeoutMs,
    killSignal: "SIGKILL",
    encoding: "utf8",
    maxBuffer: outputLimit,
  });
  const code = (result.error as NodeJS.ErrnoException | undefined)?.code;
  if (code === "ETIMEDOUT") throw failure("ETIMEDOUT", "run", program);
  if (code === "ENOBUFS") throw failure("EFBIG", "run", program);
  if (code !== undefined && code !== "EPIPE") throw failure(code, "execve", program);
  return {
    status: result.status ?? undefined,
    signal: result.signal === null ? undefined : constants.signals[result.signal],
    stdout: result.stdout,
    stderr: result.stderr,
  };
}

/** Node connects asynchronously only, so another process of it does. It ends with the errno name when it fails. */
const exchangeProgram = `
  const socket = require("node:net").connect(process.argv[1]);
  socket.on("error", ({ code }) => { process.stderr.write(code); process.exit(1); });
  process.stdin.pipe(socket).pipe(process.stdout);`;

export function exchange(path: string, request: string, timeoutMs: number): string {
  const argv = [process.execPath, "-e", exchangeProgram, path];
  const { status, stdout, stderr } = run(argv, { env: {}, stdin: request, timeoutMs });
  if (status !== 0) throw failure(stderr || "EIO", "connect", path);
  return stdout;
}

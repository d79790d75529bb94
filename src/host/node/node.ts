/**
 * `Sys` on Node: the operator's command, scripts and tests.
 *
 * It has no network namespaces and no netlink sockets (`ENOSYS`). Node has no flock(2), so the program `flock` of util-linux takes the
 * lock (see `lock`).
 */
import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import * as fs from "node:fs";
import { hostname } from "node:os";
import { dirname, join } from "node:path";
import { type FileLock, type FileStat, isErrno, type Sys } from "../sys.ts";
import { exchange, failure, run } from "./programs.ts";

const readLimit = 64 * 1024 * 1024;

export const nodeSys: Sys = {
  args: () => process.argv.slice(1),
  environment: () => ({ ...process.env }) as Record<string, string>,
  readStdin: (maxBytes) => readLimited(0, "standard input", maxBytes),
  readStdinFor,
  readStdinPart,
  write: (stream, text) => writeAll(stream === "stdout" ? 1 : 2, text, stream),
  exit: (status) => process.exit(status),
  hostname,
  pid: () => process.pid,

  wallClock: () => {
    const milliseconds = Date.now();
    return { seconds: Math.floor(milliseconds / 1000), nanoseconds: (milliseconds % 1000) * 1_000_000 };
  },
  monotonicMs: () => performance.now(),
  cpuMs: () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1000;
  },
  sleepMs,
  randomBytes: (count) => new Uint8Array(randomBytes(count)),

  readFile(path, links) {
    const noLinks = links === undefined ? 0 : fs.constants.O_NOFOLLOW;
    const flags = fs.constants.O_RDONLY | fs.constants.O_NONBLOCK | noLinks;
    return withFile(path, flags, 0, (fd) => readLimited(fd, path, readLimit));
  },
  writeFile: (path, text) => withFile(path, fs.constants.O_WRONLY, 0, (fd) => writeOnce(fd, text, path)),
  createFile,
  replaceFile,
  appendFile,
  rename: (from, to) => call("rename", from, () => fs.renameSync(from, to)),
  removeFile: (path) => call("unlink", path, () => fs.unlinkSync(path)),
  removeDir: (path) => call("rmdir", path, () => fs.rmdirSync(path)),
  makeDirs: (path, mode) => call("mkdir", path, () => void fs.mkdirSync(path, { recursive: true, mode })),
  listDir: (path) => call("opendir", path, () => fs.readdirSync(path)),
  stat,
  trustDirectory,
  lock,
  unlock,

  run,
  exchange,

  openNetns: () => unavailable("setns"),
  closeNetns: () => unavailable("setns"),
  ownNetns: () => {
    const { dev, ino } = call("stat", "/proc/self/ns/net", () => fs.statSync("/proc/self/ns/net"));
    return { device: dev, inode: ino };
  },
  inNetns: () => unavailable("setns"),
  inNewNetns: () => unavailable("unshare"),
  openNetlink: () => unavailable("socket"),
  openEvents: () => unavailable("socket"),
};

function unavailable(syscall: string): never {
  throw failure("ENOSYS", syscall);
}

/** Runs a call of Node and converts its error to the form that `Sys` specifies. */
function call<T>(syscall: string, object: string, body: () => T): T {
  try {
    return body();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw failure(code === undefined || code.startsWith("ERR_") ? "EINVAL" : code, syscall, object);
  }
}

function withFile<T>(path: string, flags: number, mode: number, body: (fd: number) => T): T {
  const fd = call("open", path, () => fs.openSync(path, flags, mode));
  try {
    return body(fd);
  } finally {
    fs.closeSync(fd);
  }
}

function readLimited(fd: number, object: string, maxBytes: number): string {
  const parts: Buffer[] = [];
  let total = 0;
  for (;;) {
    const part = Buffer.alloc(65536);
    const count = call("read", object, () => fs.readSync(fd, part));
    if (count === 0) return Buffer.concat(parts).toString("utf8");
    parts.push(part.subarray(0, count));
    total += count;
    if (total > maxBytes) throw failure("EFBIG", "read", object);
  }
}

/** Reads with `cat`, because Node cannot stop a synchronous read of a pipe. */
function readStdinFor(maxBytes: number, timeoutMs: number): string {
  const { stdout } = spawnSync("cat", { stdio: ["inherit", "pipe", "ignore"], timeout: timeoutMs, encoding: "utf8" });
  if (Buffer.byteLength(stdout) > maxBytes) throw failure("EFBIG", "read", "standard input");
  return stdout;
}

function readStdinPart(): string {
  const part = Buffer.alloc(65536);
  return part.toString(
    "utf8",
    0,
    call("read", "standard input", () => fs.readSync(0, part)),
  );
}

function writeAll(fd: number, text: string, object: string): void {
  const bytes = Buffer.from(text);
  let done = 0;
  while (done < bytes.length) {
    try {
      done += call("write", object, () => fs.writeSync(fd, bytes, done));
    } catch (error) {
      // Any access to `process.stdout` makes a pipe non-blocking; it stays full until its reader continues.
      if (!isErrno(error, "EAGAIN")) throw error;
      sleepMs(1);
    }
  }
}

function writeOnce(fd: number, text: string, path: string): void {
  if (call("write", path, () => fs.writeSync(fd, text)) < Buffer.byteLength(text))
    throw failure("ENOSPC", "write", path);
}

function appendFile(path: string, text: string, mode: number): number {
  const { O_WRONLY, O_APPEND, O_CREAT, O_NOFOLLOW, O_NONBLOCK } = fs.constants;
  for (;;) {
    const { nlink, size } = withFile(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK, mode, (fd) => {
      if (!fs.fstatSync(fd).isFile()) throw failure("EINVAL", "open", path);
      writeOnce(fd, text, path);
      return fs.fstatSync(fd);
    });
    if (nlink > 0) return size;
  }
}

/** Writes a temporary file in the same directory, passes its name to `publish`, and removes it. */
function throughTemporaryFile(
  path: string,
  text: string,
  options: { readonly mode: number; readonly durable: boolean },
  publish: (temporary: string) => void,
): void {
  const temporary = join(dirname(path), `.tmp-${randomBytes(8).toString("hex")}`);
  const flags = fs.constants.O_WRONLY | fs.constants.O_CREAT | fs.constants.O_EXCL | fs.constants.O_NOFOLLOW;
  const fd = call("open", path, () => fs.openSync(temporary, flags, options.mode));
  try {
    writeAll(fd, text, path);
    if (options.durable) call("fsync", path, () => fs.fsyncSync(fd));
    publish(temporary);
  } finally {
    fs.closeSync(fd);
    fs.rmSync(temporary, { force: true });
  }
}

function createFile(path: string, text: string, mode: number): void {
  throughTemporaryFile(path, text, { mode, durable: false }, (temporary) => {
    call("link", path, () => fs.linkSync(temporary, path));
  });
}

function replaceFile(path: string, text: string, options: { readonly mode: number; readonly durable: boolean }): void {
  throughTemporaryFile(path, text, options, (temporary) => {
    call("rename", path, () => fs.renameSync(temporary, path));
  });
  if (options.durable) {
    const directory = dirname(path);
    withFile(directory, fs.constants.O_RDONLY, 0, (fd) => call("fsync", directory, () => fs.fsyncSync(fd)));
  }
}

function trustDirectory(path: string): void {
  const status = fs.lstatSync(path, { throwIfNoEntry: false });
  if (status === undefined) return;
  if (status.isSymbolicLink()) throw failure("ELOOP", "trust", path);
  if (!status.isDirectory()) throw failure("ENOTDIR", "trust", path);
  if (status.uid !== process.geteuid?.() || (status.mode & 0o022) !== 0) throw failure("EPERM", "trust", path);
}

function stat(path: string): FileStat | undefined {
  const status = call("stat", path, () => statOrAbsent(path));
  return (
    status && {
      kind: status.isFile() ? "file" : status.isDirectory() ? "directory" : "other",
      size: status.size,
      mode: status.mode & 0o7777,
      device: status.dev,
      inode: status.ino,
      modifiedMs: status.mtimeMs,
    }
  );
}

/** Without an error for a missing file, which takes Node ten times as long to make: the agent looks for many that are not there. */
function statOrAbsent(path: string): fs.Stats | undefined {
  try {
    return fs.statSync(path, { throwIfNoEntry: false });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOTDIR") return undefined;
    throw error;
  }
}

function sleepMs(milliseconds: number): void {
  if (milliseconds > 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}

/**
 * A lock belongs to the open file, not to the process: `flock` locks the descriptor that it inherits from this process, and this process
 * keeps the lock after `flock` ended. Closing the descriptor releases it.
 */
function lock(path: string, mode: "shared" | "exclusive", timeoutMs: number): FileLock {
  const flags = fs.constants.O_RDWR | fs.constants.O_CREAT | fs.constants.O_NOFOLLOW | fs.constants.O_NONBLOCK;
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const fd = call("open", path, () => fs.openSync(path, flags, 0o600));
    const seconds = Math.max(0, (deadline - performance.now()) / 1000).toFixed(3);
    const { status, error } = spawnSync("flock", [`--${mode}`, "--timeout", seconds, "3"], {
      stdio: ["ignore", "ignore", "ignore", fd],
    });
    if (status === 0 && stat(path)?.inode === fs.fstatSync(fd).ino) {
      return { fd, mode, abandoned: mode === "exclusive" && markHeld(fd) };
    }
    fs.closeSync(fd);
    if (error !== undefined) throw new Error('the program "flock" is not installed, or not in PATH');
    if (status !== 0) throw failure("ETIMEDOUT", "flock", path);
  }
}

/** Whether the last holder was killed. If the byte cannot be written, the next holder is not informed. */
function markHeld(fd: number): boolean {
  const state = Buffer.alloc(1);
  const abandoned = fs.readSync(fd, state, 0, 1, 0) === 1 && state.toString() === "1";
  writeState(fd, "1");
  return abandoned;
}

function unlock({ fd, mode }: FileLock): void {
  if (mode === "exclusive") writeState(fd, "0");
  fs.closeSync(fd);
}

function writeState(fd: number, state: "0" | "1"): void {
  try {
    fs.writeSync(fd, state, 0);
  } catch {
    // The disk is full.
  }
}

/**
 * The one door to the operating system: synchronous, without policy.
 *
 * Two implementations: `quickjs.ts` over the native host (the plugins), `node.ts` (CLI, scripts, tests; no netlink).
 * A third, in `test/lib`, is a model of the kernel and the file system.
 *
 * Every failing call throws an `Error` whose `code` is errno's name (`"ENOENT"`), whose `syscall` names the call and
 * whose message reads `<syscall> <object>: <strerror>`. Tell them apart with `isErrno`.
 */
export interface Sys {
  /** The arguments of the process, its own name first. */
  args(): readonly string[];
  /** The environment of the process. A name set twice keeps its last value. */
  environment(): Readonly<Record<string, string>>;
  /**
   * Reads standard input to its end. Throws `EFBIG` beyond `maxBytes`, `ETIMEDOUT` after `timeoutMs`. Bytes that are not UTF-8 become U+FFFD.
   */
  readStdin(maxBytes: number, timeoutMs: number): string;
  /**
   * What comes on standard input until its end or until `timeoutMs` have passed; for answers that do not depend on it.
   * A runtime may hold the pipe open for ever. Empty where standard input is closed. Throws `EFBIG` beyond `maxBytes`.
   */
  readStdinFor(maxBytes: number, timeoutMs: number): string;
  /** Writes the whole text to a standard stream. */
  write(stream: "stdout" | "stderr", text: string): void;
  exit(status: number): never;
  /** gethostname(2). */
  hostname(): string;
  /** The process's own id. */
  pid(): number;

  /** CLOCK_REALTIME. */
  wallClock(): { readonly seconds: number; readonly nanoseconds: number };
  /** CLOCK_MONOTONIC, in milliseconds with fractions. */
  monotonicMs(): number;
  sleepMs(milliseconds: number): void;
  randomBytes(count: number): Uint8Array;

  /** Reads a whole file as UTF-8. Throws `EFBIG` beyond 64 MiB, and, if links are refused, `ELOOP` where the path's last part is one. */
  readFile(path: string, links?: "refused"): string;
  /** Writes to a file that exists, with one write(2); made for /proc/sys and /sys. Never creates or truncates. */
  writeFile(path: string, text: string): void;
  /** Creates a file that must not exist (`EEXIST`), whole or not at all. */
  createFile(path: string, text: string, mode: number): void;
  /**
   * Replaces a file atomically: a temporary neighbour, fsync when `durable`, rename, fsync of the directory when `durable`.
   * A reader sees the old text or the new one, after a power failure too when `durable`. A killed process may leave the neighbour,
   * `.tmp-<16 hexadecimal digits>`.
   */
  replaceFile(path: string, text: string, options: { readonly mode: number; readonly durable: boolean }): void;
  /**
   * Appends with O_APPEND, one write(2), creating the file with `mode`. Returns its size afterwards, in bytes. What the text went into is
   * there afterwards: a file that another process deletes meanwhile gets a successor. Never follows a link in the path's last part
   * (`ELOOP`), never waits for a reader (`ENXIO`), writes to plain files only (`EINVAL`).
   */
  appendFile(path: string, text: string, mode: number): number;
  rename(from: string, to: string): void;
  /** unlink(2). */
  removeFile(path: string): void;
  /** rmdir(2). */
  removeDir(path: string): void;
  /** Creates a directory and its missing parents with `mode`; that it exists already is success. */
  makeDirs(path: string, mode: number): void;
  /** The names in a directory but `.` and `..`, in no order. */
  listDir(path: string): readonly string[];
  /**
   * Throws where others decide what lies in a directory: `ELOOP` where it is a link to one, `ENOTDIR`, and `EPERM` where another user owns it or
   * may write to it. That nothing is there is fine.
   */
  trustDirectory(path: string): void;
  /** stat(2), following links; `undefined` when nothing is there (ENOENT, ENOTDIR). */
  stat(path: string): FileStat | undefined;
  /**
   * Takes a flock(2) on a file, which is created (0600) if missing. Waits until `timeoutMs` has passed, then throws `ETIMEDOUT`.
   * The kernel frees the lock when the process ends, however it ends. The file of an exclusive lock holds `1` while it is held and `0`
   * afterwards, by which the next holder knows. Never change: releases run side by side.
   */
  lock(path: string, mode: "shared" | "exclusive", timeoutMs: number): FileLock;
  unlock(lock: FileLock): void;

  /**
   * Runs a program without a shell: `argv[0]` is a path. Its environment is `env` and nothing else, its standard streams are pipes,
   * it inherits no other descriptor. Killed with SIGKILL after `timeoutMs` (then throws `ETIMEDOUT`).
   */
  run(argv: readonly string[], options: RunOptions): RunResult;

  /** Opens a network namespace by path. Throws `EINVAL` when the path is not a network namespace. */
  openNetns(path: string): Netns;
  closeNetns(netns: Netns): void;
  /** The network namespace the process is in, as device and inode. */
  ownNetns(): { readonly device: number; readonly inode: number };
  /** Runs `body` with the process inside `netns`; comes back however `body` ends. */
  inNetns<T>(netns: Netns, body: () => T): T;
  /** The same in a network namespace of its own, which ends with `body`. */
  inNewNetns<T>(body: () => T): T;
  /** Opens a netlink socket; in `netns` if one is given. */
  openNetlink(protocol: NetlinkProtocol, netns?: Netns): NetlinkSocket;
}

export type NetlinkProtocol = "route" | "netfilter" | "sock_diag";

export interface FileStat {
  readonly kind: "file" | "directory" | "other";
  readonly size: number;
  readonly mode: number;
  readonly device: number;
  readonly inode: number;
  /** Last modification, in milliseconds since the epoch. */
  readonly modifiedMs: number;
}

export interface FileLock {
  readonly fd: number;
  readonly mode: "shared" | "exclusive";
  /** The lock is exclusive, and its last exclusive holder ended without `unlock`: it was killed. */
  readonly abandoned: boolean;
}

export interface RunOptions {
  readonly env: Readonly<Record<string, string>>;
  readonly stdin: string;
  readonly timeoutMs: number;
}

export interface RunResult {
  /** The exit status; `undefined` when a signal ended the program. */
  readonly status: number | undefined;
  /** The number of the signal that ended the program. */
  readonly signal: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Netns {
  readonly fd: number;
  readonly device: number;
  readonly inode: number;
}

export interface NetlinkSocket {
  /** Sends one datagram, which may hold many messages. */
  send(datagram: Uint8Array): void;
  /** Receives one datagram, whole. Throws `ETIMEDOUT` after `timeoutMs` and `ENOBUFS` when the kernel dropped some. */
  receive(timeoutMs: number): Uint8Array;
  close(): void;
}

/** Whether a caught value is a failed system call with this errno name. */
export function isErrno(error: unknown, ...names: readonly string[]): error is Error & { code: string } {
  return error instanceof Error && "code" in error && names.includes(error.code as string);
}

/**
 * The only access to the operating system: synchronous, without policy.
 *
 * Two implementations: `quickjs.ts` over the native host (the plugins), `node.ts` (CLI, scripts, tests; no netlink).
 * A third, in `test/lib`, is a fake kernel with a file system.
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
   * Reads standard input to its end or until `timeoutMs` have passed, for answers that do not depend on it: a runtime may keep the pipe open
   * for ever. Empty if standard input is closed. Throws `EFBIG` beyond `maxBytes`.
   */
  readStdinFor(maxBytes: number, timeoutMs: number): string;
  /**
   * Waits for a part of standard input, 64 KiB at most, and returns it; empty at the end. Only for ASCII: a part may end within another character.
   */
  readStdinPart(): string;
  /** Writes the whole text to a standard stream. */
  write(stream: "stdout" | "stderr", text: string): void;
  exit(status: number): never;
  /** Names what the process does from now on, and returns the previous name. Present only if the process is traced (`traced-sys.ts`). */
  phase?(name: string): string;
  /** gethostname(2). */
  hostname(): string;
  /** The process ID. */
  pid(): number;

  /** CLOCK_REALTIME. */
  wallClock(): { readonly seconds: number; readonly nanoseconds: number };
  /** CLOCK_MONOTONIC, in milliseconds with fractions. */
  monotonicMs(): number;
  /** CPU time of the process since it was created (CLOCK_PROCESS_CPUTIME_ID), in milliseconds with fractions. */
  cpuMs(): number;
  sleepMs(milliseconds: number): void;
  randomBytes(count: number): Uint8Array;

  /** Reads a whole file as UTF-8. Throws `EFBIG` beyond 64 MiB, and, if links are not followed, `ELOOP` if the last component is a symbolic link. */
  readFile(path: string, links?: "refused"): string;
  /** Writes to an existing file with one write(2), for /proc/sys and /sys. Never creates or truncates it. */
  writeFile(path: string, text: string): void;
  /** Creates a file that must not exist (`EEXIST`), completely or not at all. */
  createFile(path: string, text: string, mode: number): void;
  /**
   * Replaces a file atomically: a temporary file in the same directory, fsync if `durable`, rename, fsync of the directory if `durable`.
   * A reader sees the old text or the new one, if `durable` also after a power failure. A killed process may leave the temporary file,
   * `.tmp-<16 hexadecimal digits>`.
   */
  replaceFile(path: string, text: string, options: { readonly mode: number; readonly durable: boolean }): void;
  /**
   * Appends with O_APPEND and one write(2); creates a missing file with `mode`. Returns the new size in bytes. If another process deletes the
   * file meanwhile, the call creates it again. Never follows a symbolic link in the last component (`ELOOP`), never waits for a reader
   * (`ENXIO`), writes only to regular files (`EINVAL`).
   */
  appendFile(path: string, text: string, mode: number): number;
  rename(from: string, to: string): void;
  /** unlink(2). */
  removeFile(path: string): void;
  /** rmdir(2). */
  removeDir(path: string): void;
  /** Creates a directory and its missing parents with `mode`; an existing one is success. */
  makeDirs(path: string, mode: number): void;
  /** The names in a directory without `.` and `..`, in any order. */
  listDir(path: string): readonly string[];
  /**
   * Throws unless only this user controls a directory: `ELOOP` for a symbolic link, `ENOTDIR`, and `EPERM` if another user owns it or may
   * write to it. A missing directory is accepted.
   */
  trustDirectory(path: string): void;
  /** stat(2), which follows links; `undefined` if the file does not exist (ENOENT, ENOTDIR). */
  stat(path: string): FileStat | undefined;
  /**
   * Takes a flock(2) on a file, which it creates (0600) if missing. Throws `ETIMEDOUT` after `timeoutMs`. The kernel releases the lock when
   * the process ends in any way. The file of an exclusive lock contains `1` while the lock is held and `0` afterwards, from which the next
   * holder learns whether the last one was killed. Never change this: releases run side by side.
   */
  lock(path: string, mode: "shared" | "exclusive", timeoutMs: number): FileLock;
  unlock(lock: FileLock): void;

  /**
   * Runs a program without a shell: `argv[0]` is a path. Its environment is `env` and nothing else, its standard streams are pipes, and it
   * inherits no other descriptor. Kills it with SIGKILL after `timeoutMs`, and then throws `ETIMEDOUT`.
   */
  run(argv: readonly string[], options: RunOptions): RunResult;

  /**
   * Asks the server at a Unix socket (SOCK_STREAM): sends `request`, closes that direction, and returns what comes until the other end closes.
   * Throws `ENOENT` or `ECONNREFUSED` if no server listens, `ETIMEDOUT` after `timeoutMs`, `EFBIG` beyond 16 MiB.
   */
  exchange(path: string, request: string, timeoutMs: number): string;

  /** Opens a network namespace by path. Throws `EINVAL` if the path is not a network namespace. */
  openNetns(path: string): Netns;
  closeNetns(netns: Netns): void;
  /** The process's current network namespace, as device and inode. */
  ownNetns(): { readonly device: number; readonly inode: number };
  /** Runs `body` with the process inside `netns`, and always returns to the previous namespace. */
  inNetns<T>(netns: Netns, body: () => T): T;
  /** The same in a new network namespace, which ends with `body`. */
  inNewNetns<T>(body: () => T): T;
  /** Opens a netlink socket; in `netns` if one is given. */
  openNetlink(protocol: NetlinkProtocol, netns?: Netns): NetlinkSocket;
  /** Opens a socket that receives what happens in these multicast groups of rtnetlink, in the current namespace. */
  openEvents(groups: readonly number[]): EventSocket;
}

export type NetlinkProtocol = "route" | "netfilter" | "sock_diag" | "generic";

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
  /** True if the lock is exclusive and its last exclusive holder ended without `unlock`, so it was killed. */
  readonly abandoned: boolean;
}

export interface RunOptions {
  readonly env: Readonly<Record<string, string>>;
  readonly stdin: string;
  readonly timeoutMs: number;
}

export interface RunResult {
  /** The exit code; `undefined` if a signal ended the program. */
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
  /** Receives one complete datagram. Throws `ETIMEDOUT` after `timeoutMs` and `ENOBUFS` if the kernel dropped any. */
  receive(timeoutMs: number): Uint8Array;
  close(): void;
}

export interface EventSocket extends Omit<NetlinkSocket, "send"> {
  /** Waits until standard input, at its end too, or this socket can be read, and tells which; neither after `timeoutMs`. */
  waitWithStdin(timeoutMs: number): { readonly stdin: boolean; readonly socket: boolean };
}

/** Whether a caught value is a failed system call with this errno. */
export function isErrno(error: unknown, ...names: readonly string[]): error is Error & { code: string } {
  return error instanceof Error && "code" in error && names.includes(error.code as string);
}

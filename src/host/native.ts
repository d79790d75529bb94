/**
 * The functions of the native host in the global object `native`, one for each in `src/host/native/*.c`.
 *
 * Only `quickjs.ts` and `stack.ts` use them; all other code uses `Sys`.
 */
import type { FileStat, RunResult } from "./sys.ts";

export interface Native {
  args(): string[];
  environment(): Record<string, string>;
  readStdin(maxBytes: number, timeoutMs: number): string;
  readStdinFor(maxBytes: number, timeoutMs: number): string;
  readStdinPart(): string;
  write(fd: number, text: string): void;
  exit(status: number): never;
  hostname(): string;
  pid(): number;
  wallClock(): { seconds: number; nanoseconds: number };
  monotonicMs(): number;
  cpuMs(): number;
  sleepMs(milliseconds: number): void;
  /** At most 256 bytes. */
  randomBytes(count: number): Uint8Array;

  readFile(path: string, links?: "refused"): string;
  writeFile(path: string, text: string): void;
  createFile(path: string, text: string, mode: number): void;
  replaceFile(path: string, text: string, mode: number, durable: boolean): void;
  appendFile(path: string, text: string, mode: number): number;
  rename(from: string, to: string): void;
  removeFile(path: string): void;
  removeDir(path: string): void;
  makeDirs(path: string, mode: number): void;
  listDir(path: string): string[];
  stat(path: string): FileStat | undefined;
  trustDirectory(path: string): void;
  lock(path: string, exclusive: boolean, timeoutMs: number): { fd: number; abandoned: boolean };
  unlock(fd: number): void;
  closeFd(fd: number): void;

  exchange(path: string, request: string, timeoutMs: number): string;

  /** `environment` as `NAME=value`. */
  run(argv: readonly string[], environment: readonly string[], stdin: string, timeoutMs: number): RunResult;

  openNetns(path: string): { fd: number; device: number; inode: number };
  ownNetns(): { device: number; inode: number };
  inNetns<T>(fd: number, body: () => T): T;
  inNewNetns<T>(body: () => T): T;
  /** `netnsFd` -1: in the current namespace. */
  openNetlink(protocol: number, netnsFd: number): number;
  netlinkSend(fd: number, datagram: Uint8Array): void;
  netlinkReceive(fd: number, timeoutMs: number): Uint8Array;
  netlinkJoin(fd: number, group: number): void;
  /** A sum of 1 (standard input) and 2 (the socket). */
  netlinkWait(fd: number, timeoutMs: number): number;

  /** The line table of the running bundle; see `stack.ts`. */
  lineTable(): string;
}

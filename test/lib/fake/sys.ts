/**
 * An in-memory `Sys`: a machine (files, locks, clock, kernel) and a process on it.
 *
 * Every call that can fail on a real machine is a step, and `failAt` makes step k fail, so that tests can prove that a rollback is complete.
 * (Receiving is not a step: the kernel has acted when `send` returns.)
 */
import type {
  EventSocket,
  FileLock,
  FileStat,
  NetlinkProtocol,
  NetlinkSocket,
  Netns,
  RunOptions,
  RunResult,
  Sys,
} from "../../../src/host/sys.ts";
import { encodeUtf8 } from "../../../src/net/text.ts";
import { FakeDiag } from "./diag.ts";
import { sysError } from "./errno.ts";
import { FakeFiles } from "./files.ts";
import { FakeKernel } from "./kernel.ts";
import type { FakeNetns } from "./netns.ts";

/** Answers datagrams that are sent to netfilter in one namespace. */
export interface FakeNetfilter {
  handle(datagram: Uint8Array): Uint8Array[];
}

export type FakeProgram = (argv: readonly string[], options: RunOptions) => Partial<RunResult>;

/** The inode of the model's only mount namespace. */
const mountNamespace = 4_026_531_841;

/** The state that processes share. */
export class FakeMachine {
  readonly kernel: FakeKernel;
  /** The sockets of the host's namespace. */
  readonly diag = new FakeDiag();
  readonly files: FakeFiles;
  readonly netnsPaths = new Map<string, FakeNetns>();
  readonly programs = new Map<string, FakeProgram>();
  /** The servers at Unix sockets, by path. */
  readonly servers = new Map<string, (request: string) => string>();
  readonly locks = new Map<string, { exclusive: boolean; holders: number; abandoned?: boolean }>();
  /** The number of times that a lock was taken. */
  lockings = 0;
  /** Creates the nf_tables of a namespace; absent: the kernel has none. */
  netfilter: ((netns: FakeNetns) => FakeNetfilter) | undefined;
  nowMs = Date.UTC(2024, 0, 1);
  uptimeMs = 1000;
  random = 1;
  readonly #netfilters = new Map<FakeNetns, FakeNetfilter>();

  constructor(options: { readonly ipv6?: boolean } = {}) {
    this.kernel = new FakeKernel(options);
    this.files = new FakeFiles(() => this.nowMs);
  }

  /** Creates a namespace with a path, as a runtime does before ADD. */
  addSandbox(name: string): string {
    const path = `/var/run/netns/${name}`;
    this.netnsPaths.set(path, this.kernel.addNetns(name));
    return path;
  }

  removeSandbox(path: string): void {
    const netns = this.netnsPaths.get(path);
    if (netns) this.kernel.removeNetns(netns);
    this.netnsPaths.delete(path);
  }

  netfilterOf(netns: FakeNetns): FakeNetfilter {
    const known = this.netfilter && (this.#netfilters.get(netns) ?? this.netfilter(netns));
    if (known === undefined) throw sysError("EPROTONOSUPPORT", "socket", "netfilter");
    this.#netfilters.set(netns, known);
    return known;
  }
}

/** Thrown by `exit`. */
export class Exited extends Error {
  readonly status: number;

  constructor(status: number) {
    super(`exit ${status}`);
    this.status = status;
  }
}

export interface FakeProcess {
  readonly args?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly stdin?: string;
  readonly hostname?: string;
  readonly machine?: FakeMachine;
}

export class FakeSys implements Sys {
  readonly machine: FakeMachine;
  #process: FakeProcess;
  /** The text written to the standard streams. */
  stdout = "";
  stderr = "";
  /** The number of steps so far. */
  steps = 0;
  #killedFrom = Number.POSITIVE_INFINITY;
  #failing: { readonly step: number; readonly errno: string } | undefined;
  #inside: FakeNetns;
  #nextFd = 3;

  constructor(process: FakeProcess = {}) {
    this.#process = process;
    this.machine = process.machine ?? new FakeMachine();
    this.#inside = this.machine.kernel.host;
  }

  /** From this step (counted from 1) on the process is dead: nothing that it still tries takes effect, including rollbacks. */
  killAt(step: number): void {
    this.#killedFrom = step;
  }

  /** The process was killed: the kernel frees its locks. */
  end(): void {
    for (const path of this.#heldLocks.values()) {
      const held = this.machine.locks.get(path);
      if (held === undefined) continue;
      held.holders = 0;
      held.abandoned = held.exclusive;
    }
    this.#heldLocks.clear();
  }

  /** Makes the step with this number (counted from 1) fail, once. */
  failAt(step: number, errno: string): void {
    this.#failing = { step, errno };
  }

  args(): readonly string[] {
    return this.#process.args ?? ["/opt/cni/bin/calico"];
  }

  environment(): Readonly<Record<string, string>> {
    return this.#process.environment ?? {};
  }

  readStdin(maxBytes: number): string {
    this.#step("read", "stdin");
    const text = this.#process.stdin ?? "";
    if (encodeUtf8(text).length > maxBytes) throw sysError("EFBIG", "read", "stdin");
    return text;
  }

  readStdinFor(maxBytes: number): string {
    return this.readStdin(maxBytes);
  }

  /** All at once, then the end. */
  readStdinPart(): string {
    const text = this.readStdin(Number.POSITIVE_INFINITY);
    this.#process = { ...this.#process, stdin: "" };
    return text;
  }

  write(stream: "stdout" | "stderr", text: string): void {
    this[stream] += text;
  }

  exit(status: number): never {
    throw new Exited(status);
  }

  hostname(): string {
    return this.#process.hostname ?? "node-1";
  }

  pid(): number {
    return 4242;
  }

  wallClock(): { readonly seconds: number; readonly nanoseconds: number } {
    const { nowMs } = this.machine;
    return { seconds: Math.floor(nowMs / 1000), nanoseconds: (nowMs % 1000) * 1e6 };
  }

  monotonicMs(): number {
    return this.machine.uptimeMs;
  }

  cpuMs(): number {
    return this.machine.uptimeMs;
  }

  sleepMs(milliseconds: number): void {
    this.machine.nowMs += milliseconds;
    this.machine.uptimeMs += milliseconds;
  }

  randomBytes(count: number): Uint8Array {
    return Uint8Array.from({ length: count }, () => {
      this.machine.random = (Math.imul(this.machine.random, 1103515245) + 12345) >>> 0;
      return this.machine.random >>> 16;
    });
  }

  readFile(path: string): string {
    this.#step("open", path);
    const sysctl = sysctlPath(path);
    return sysctl === undefined ? this.machine.files.read(path) : this.#inside.sysctl.read(sysctl);
  }

  writeFile(path: string, text: string): void {
    this.#step("open", path);
    const sysctl = sysctlPath(path);
    if (sysctl === undefined) this.machine.files.write(path, text);
    else this.#inside.sysctl.write(sysctl, text);
  }

  createFile(path: string, text: string, mode: number): void {
    this.#step("open", path);
    this.machine.files.create(path, text, mode);
  }

  replaceFile(path: string, text: string, options: { readonly mode: number; readonly durable: boolean }): void {
    this.#step("open", path);
    this.machine.files.replace(path, text, options.mode);
  }

  appendFile(path: string, text: string, mode: number): number {
    this.#step("open", path);
    return this.machine.files.append(path, text, mode);
  }

  rename(from: string, to: string): void {
    this.#step("rename", from);
    this.machine.files.rename(from, to);
  }

  removeFile(path: string): void {
    this.#step("unlink", path);
    this.machine.files.removeFile(path);
  }

  removeDir(path: string): void {
    this.#step("rmdir", path);
    this.machine.files.removeDir(path);
  }

  makeDirs(path: string, mode: number): void {
    this.#step("mkdir", path);
    this.machine.files.makeDirs(path, mode);
  }

  listDir(path: string): readonly string[] {
    this.#step("opendir", path);
    const sysctl = sysctlPath(path);
    return sysctl === undefined ? this.machine.files.list(path) : this.#inside.sysctl.list(sysctl);
  }

  stat(path: string): FileStat | undefined {
    this.#step("stat", path);
    if (path === "/proc/self/ns/mnt")
      return { kind: "file", size: 0, mode: 0o444, device: 4, inode: mountNamespace, modifiedMs: 0 };
    const sysctl = sysctlPath(path);
    if (sysctl === undefined) return this.machine.files.stat(path);
    if (!this.#inside.sysctl.hasDirectory(sysctl) && this.#inside.sysctl.get(sysctl) === undefined) return undefined;
    return { kind: "directory", size: 0, mode: 0o555, device: 2, inode: 1, modifiedMs: 0 };
  }

  /** The model has one user and no symbolic links. */
  trustDirectory(): void {}

  lock(path: string, mode: "shared" | "exclusive", timeoutMs: number): FileLock {
    this.#step("flock", path);
    const { locks, files } = this.machine;
    if (files.stat(path) === undefined) files.create(path, "", 0o600);
    const held = locks.get(path);
    if (held && held.holders > 0 && (held.exclusive || mode === "exclusive")) {
      // No other process runs while this one waits.
      this.sleepMs(timeoutMs);
      throw sysError("ETIMEDOUT", "flock", path);
    }
    this.machine.lockings++;
    locks.set(path, { exclusive: mode === "exclusive", holders: (held?.holders ?? 0) + 1 });
    const fd = this.#nextFd++;
    this.#heldLocks.set(fd, path);
    return { fd, mode, abandoned: mode === "exclusive" && held?.abandoned === true };
  }

  unlock(lock: FileLock): void {
    const held = this.machine.locks.get(this.#heldLocks.get(lock.fd) ?? "");
    if (held === undefined) throw sysError("EBADF", "flock", `${lock.fd}`);
    this.#heldLocks.delete(lock.fd);
    held.holders--;
  }

  run(argv: readonly string[], options: RunOptions): RunResult {
    this.#step("execve", argv[0] ?? "");
    const program = this.machine.programs.get(argv[0] ?? "");
    if (program === undefined) throw sysError("ENOENT", "execve", argv[0] ?? "");
    return { status: 0, signal: undefined, stdout: "", stderr: "", ...program(argv, options) };
  }

  exchange(path: string, request: string, _timeoutMs: number): string {
    this.#step("connect", path);
    const server = this.machine.servers.get(path);
    if (server === undefined) throw sysError("ENOENT", "connect", path);
    return server(request);
  }

  openNetns(path: string): Netns {
    this.#step("open", path);
    const found = this.machine.netnsPaths.get(path);
    if (found === undefined) {
      throw sysError(this.machine.files.stat(path) === undefined ? "ENOENT" : "EINVAL", "open", path);
    }
    const fd = this.#nextFd++;
    this.machine.kernel.descriptors.set(fd, found);
    return { fd, device: 4, inode: found.inode };
  }

  closeNetns(netns: Netns): void {
    this.machine.kernel.descriptors.delete(netns.fd);
  }

  ownNetns(): { readonly device: number; readonly inode: number } {
    return { device: 4, inode: this.#inside.inode };
  }

  inNetns<T>(netns: Netns, body: () => T): T {
    this.#step("setns", `fd ${netns.fd}`);
    const outside = this.#inside;
    this.#inside = this.#behind(netns);
    try {
      return body();
    } finally {
      this.#inside = outside;
    }
  }

  inNewNetns<T>(body: () => T): T {
    this.#step("unshare", "CLONE_NEWNET");
    const outside = this.#inside;
    this.#inside = this.machine.kernel.addNetns("new");
    try {
      return body();
    } finally {
      this.machine.kernel.removeNetns(this.#inside);
      this.#inside = outside;
    }
  }

  openNetlink(protocol: NetlinkProtocol, netns?: Netns): NetlinkSocket {
    this.#step("socket", "netlink");
    const where = netns === undefined ? this.#inside : this.#behind(netns);
    const { kernel } = this.machine;
    const netfilter = protocol === "netfilter" ? this.machine.netfilterOf(where) : undefined;
    const other = protocol === "sock_diag" ? this.machine.diag : netfilter;
    const queue: Uint8Array[] = [];
    return {
      send: (datagram) => {
        this.#step("sendto", "netlink");
        queue.push(...(other ? other.handle(datagram) : kernel.handle(where, datagram)));
      },
      receive: (timeoutMs) => {
        const datagram = queue.shift();
        if (datagram !== undefined) return datagram;
        this.sleepMs(timeoutMs);
        throw sysError("ETIMEDOUT", "recvfrom", "netlink");
      },
      close: () => {},
    };
  }

  /** The model tells of no event. */
  openEvents(): EventSocket {
    this.#step("socket", "netlink");
    return {
      receive: () => {
        throw sysError("ETIMEDOUT", "recvfrom", "netlink");
      },
      waitWithStdin: () => ({ stdin: true, socket: false }),
      close: () => {},
    };
  }

  readonly #heldLocks = new Map<number, string>();

  #behind(netns: Netns): FakeNetns {
    const found = this.machine.kernel.descriptors.get(netns.fd);
    if (found === undefined) throw sysError("EBADF", "setns", `fd ${netns.fd}`);
    return found;
  }

  #step(syscall: string, object: string): void {
    this.steps++;
    if (this.steps >= this.#killedFrom) throw sysError("ESRCH", syscall, object);
    if (this.#failing?.step !== this.steps) return;
    const { errno } = this.#failing;
    this.#failing = undefined;
    throw sysError(errno, syscall, object);
  }
}

/** The path below /proc/sys/net of a sysctl that the fake kernel has. */
function sysctlPath(path: string): string | undefined {
  const prefix = "/proc/sys/net/";
  return path.startsWith(prefix) ? path.slice(prefix.length) : undefined;
}

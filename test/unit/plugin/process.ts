/** A process from a plugin's point of view: arguments, environment, stdin, a few files, network namespaces and other executables. */
import type { NetlinkSocket, RunOptions, RunResult, Sys } from "../../../src/host/sys.ts";

export interface Machine {
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string;
  /** stdin stays open after its text. */
  readonly stdinHeldOpen?: boolean;
  /** Executables by path. */
  readonly programs?: Readonly<Record<string, (options: RunOptions) => Partial<RunResult>>>;
  /** The path of this executable. */
  readonly ownExecutable?: string;
  /** Streams that cannot be written. */
  readonly full?: readonly ("stdout" | "stderr")[];
  /** Paths that appendFile() refuses. */
  readonly unwritable?: readonly string[];
}

export class Process {
  stdout = "";
  stderr = "";
  readonly files = new Map<string, string>();
  readonly directories = new Set<string>(["/var/log"]);
  /** The calls that changed the system, in order. */
  readonly calls: string[] = [];
  readonly sys: Sys;

  constructor(machine: Machine) {
    this.sys = fakeSys(this, machine);
  }
}

export function errno(name: string, message: string): Error {
  return Object.assign(new Error(message), { code: name, syscall: message.split(" ")[0] });
}

/** The process's own namespace is inode 1; those of containers are in /run/netns, all the same one except `own`. */
const namespaces: Readonly<Record<string, number>> = { "/run/netns/T": 2, "/run/netns/own": 1 };

function fakeSys(process: Process, machine: Machine): Sys {
  const { files, directories, calls } = process;
  let now = 1_700_000_000_000;
  const present: Partial<Sys> = {
    args: () => machine.args ?? ["/opt/cni/bin/plugin"],
    environment: () => machine.env ?? {},
    readStdin: (maxBytes) => {
      if (machine.stdinHeldOpen) throw new Error("waits for ever");
      const text = machine.stdin ?? "";
      if (text.length > maxBytes) throw errno("EFBIG", "read stdin: too large");
      return text;
    },
    readStdinFor: () => machine.stdin ?? "",
    write: (stream, text) => {
      if (machine.full?.includes(stream)) throw errno("ENOSPC", `write ${stream}: no space left on device`);
      process[stream] += text;
    },
    exit: (status) => {
      throw new Error(`exit ${status}`);
    },
    hostname: () => "n1",
    pid: () => 42,
    wallClock: () => ({ seconds: Math.floor(now / 1000), nanoseconds: (now % 1000) * 1e6 }),
    sleepMs: (milliseconds) => {
      now += milliseconds;
    },
    appendFile: (path, text) => {
      if (machine.unwritable?.includes(path)) throw errno("EACCES", `open ${path}: permission denied`);
      if (!directories.has(parentOf(path))) throw errno("ENOENT", `open ${path}: no such file or directory`);
      files.set(path, (files.get(path) ?? "") + text);
      return files.get(path)?.length ?? 0;
    },
    makeDirs: (path) => {
      directories.add(path);
    },
    stat: (path) => {
      const program =
        machine.programs?.[path] !== undefined || path === machine.ownExecutable || path === "/proc/self/exe";
      if (!program && !files.has(path)) return undefined;
      const own = path === machine.ownExecutable || path === "/proc/self/exe";
      const size = files.get(path)?.length ?? 0;
      return { kind: "file", size, mode: 0o755, device: 1, inode: own ? 7 : 8, modifiedMs: 0 };
    },
    run: ([path = ""], options) => {
      calls.push(`${options.env.CNI_COMMAND} ${path}`);
      const program = machine.programs?.[path];
      if (program === undefined) throw errno("ENOENT", `execve ${path}: no such file or directory`);
      return { status: 0, signal: undefined, stdout: "", stderr: "", ...program(options) };
    },
    openNetns: (path) => {
      const inode = namespaces[path];
      if (path === "/etc/hostname") throw errno("EINVAL", `open ${path}: not a network namespace`);
      if (inode === undefined) throw errno("ENOENT", `open ${path}: no such file or directory`);
      return { fd: 3, device: 4, inode };
    },
    closeNetns: () => undefined,
    ownNetns: () => ({ device: 4, inode: 1 }),
    openNetlink: (): NetlinkSocket => {
      throw new Error("no netlink here");
    },
  };
  return new Proxy(present as Sys, {
    get(target, name: keyof Sys) {
      // No process of these tests is traced.
      if (name === "phase") return undefined;
      return (
        target[name] ??
        (() => {
          throw new Error(`${name}() is not part of this process`);
        })
      );
    },
  });
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/"));
}

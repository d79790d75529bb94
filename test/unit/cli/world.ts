/** A node in memory, and the command on it as a shell runs it. */
import { readFileSync } from "node:fs";
import pino from "pino";
import type { Cli } from "../../../src/cli/cli.ts";
import type { Cluster } from "../../../src/cli/cluster.ts";
import type { ExecutableFiles } from "../../../src/cli/install/executable-files.ts";
import { runCommandLine } from "../../../src/cli/program.ts";
import type { Terminal } from "../../../src/cli/ui/terminal.ts";
import type { FileStat, Sys } from "../../../src/host/sys.ts";
import { fileStore } from "../../../src/store/file/store.ts";
import type { Kind, StoredObject } from "../../../src/store/object.ts";
import { drive, read, type Transaction } from "../../../src/store/transaction.ts";
import { FakeMachine, FakeSys } from "../../lib/fake/sys.ts";

export interface Outcome {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

export const pipe: Terminal = { isTerminal: false, columns: 80, colours: false };

export interface WorldOptions {
  readonly node?: string;
  readonly terminal?: Terminal;
  readonly cluster?: Cluster;
  /** Of the command. */
  readonly environment?: Readonly<Record<string, string>>;
}

export class World {
  readonly machine = new FakeMachine();
  readonly sys: FakeSys;
  /** The output of programs, by their command line; others fail, unless `anyProgram` defines their output. */
  readonly programs = new Map<string, string>();
  anyProgram: ((line: string) => string) | undefined;
  /** The command lines of all executed programs. */
  readonly ran: string[] = [];
  /** Called before each step that changes files; the step throws its error. */
  beforeStep: ((call: string) => void) | undefined;
  readonly #namespaces = new Map<string, number>();
  terminal: Terminal;
  isRoot = true;
  readonly #node: string;
  readonly #cluster: Cluster | undefined;

  constructor({ node = "mac-k8s", terminal = pipe, cluster, environment = {} }: WorldOptions = {}) {
    this.#cluster = cluster;
    this.sys = new FakeSys({ machine: this.machine, environment });
    this.terminal = terminal;
    this.#node = node;
  }

  /** Writes an object's file to its place in the store. */
  write(path: string, text: string): void {
    this.sys.makeDirs(path.slice(0, path.lastIndexOf("/")), 0o700);
    this.sys.replaceFile(path, text, { mode: 0o600, durable: false });
  }

  drive<T>(transaction: Transaction<T>): T {
    return drive(transaction, fileStore(this.sys));
  }

  object(kind: Kind, name: string): StoredObject | undefined {
    return this.drive(read({ kind, name }));
  }

  /** A node with only what is given. */
  withNode(): this {
    for (const line of ["ip -j link show", "ip -j address show", "ip -j -4 route show", "ip -j -6 route show"]) {
      this.programs.set(line, "[]");
    }
    return this;
  }

  /** A namespace below /run/netns with one interface. */
  addNamespace(name: string, addresses: readonly string[]): string {
    const addr_info = addresses.map((local) => ({ local, scope: "global" }));
    this.#namespaces.set(name, this.#namespaces.size + 1);
    this.programs.set(`ip -n ${name} -j address show`, JSON.stringify([{ ifname: "eth0", addr_info }]));
    return `/run/netns/${name}`;
  }

  removeNamespace(name: string): void {
    this.#namespaces.delete(name);
  }

  /** The interfaces to the node for a command; discards the output by default. */
  cli(streams: Partial<Pick<Cli, "out" | "note" | "input">> = {}): Cli {
    const sys = replaced(this.sys, {
      stat: (path) => this.#statNamespace(path) ?? this.sys.stat(path),
      listDir: (path) => (path === "/run/netns" ? this.#namespaceNames() : this.sys.listDir(path)),
      ...stepped(this.sys, ["makeDirs", "rename", "removeFile", "replaceFile"], (call) => this.beforeStep?.(call)),
    });
    return {
      sys,
      cluster: this.#cluster,
      files: this.#files(),
      node: this.#node,
      terminal: this.terminal,
      progress: { begin: () => undefined, tick: () => undefined, end: () => undefined },
      log: pino({ level: "silent" }),
      out: () => undefined,
      input: async () => "",
      note: () => undefined,
      program: async (argv) => this.#runProgram(argv.join(" ")),
      execute: async (argv, { env }) => {
        const line = [...(env.CNI_COMMAND === undefined ? [] : [env.CNI_COMMAND]), ...argv].join(" ");
        return { status: 0, stdout: this.#runProgram(line), stderr: "" };
      },
      ...streams,
    };
  }

  async run(line: string | readonly string[], stdin = ""): Promise<Outcome> {
    let stdout = "";
    let stderr = "";
    const out = (text: string) => {
      stdout += text;
    };
    const note = (text: string) => {
      stderr += `${text}\n`;
    };
    const cli = () => this.cli({ out, note, input: async () => stdin });
    const argv = typeof line === "string" ? line.split(" ").filter((word) => word !== "") : line;
    const status = await runCommandLine(argv, { environment: {}, out, note, isRoot: this.isRoot, cli });
    return { status, stdout, stderr };
  }

  #files(): ExecutableFiles {
    const { files } = this.machine;
    const real: ExecutableFiles = {
      ownDirectory: "/usr/lib/tortie",
      digest: (path) => files.read(path),
      copy: (from, to) => files.create(to, files.read(from), 0o755),
      link: (from, to) => files.link(from, to),
      syncDirectory: (directory) => void files.list(directory),
    };
    return { ...real, ...stepped(real, ["copy", "link", "syncDirectory"], (call) => this.beforeStep?.(call)) };
  }

  #runProgram(line: string): string {
    this.ran.push(line);
    const text = this.programs.get(line) ?? this.anyProgram?.(line);
    if (text === undefined) throw new Error(`cannot run "${line}"`);
    return text;
  }

  #namespaceNames(): readonly string[] {
    return [...this.#namespaces.keys()];
  }

  #statNamespace(path: string): FileStat | undefined {
    const inode = this.#namespaces.get(path.replace("/run/netns/", ""));
    if (inode === undefined) return undefined;
    return { kind: "file", size: 0, mode: 0o444, device: this.sys.ownNetns().device, inode, modifiedMs: 0 };
  }
}

/** The same system with some calls replaced. */
function replaced(sys: Sys, calls: Partial<Sys>): Sys {
  return new Proxy(sys, {
    get(target, key) {
      const own = calls[key as keyof Sys] ?? target[key as keyof Sys];
      return typeof own === "function" ? own.bind(key in calls ? calls : target) : own;
    },
  });
}

/** Wraps some calls, which first call `before`. */
function stepped<T extends object>(target: T, names: readonly (keyof T & string)[], before: (call: string) => void) {
  const calls = names.map((name) => {
    const call = (...args: readonly unknown[]) => {
      before(name);
      return (target[name] as (...args: readonly unknown[]) => unknown).call(target, ...args);
    };
    return [name, call];
  });
  return Object.fromEntries(calls) as Partial<T>;
}

/** Calico's own dump of a block with eight addresses in use, and of its pool. */
export function fixtureWorld(options: WorldOptions = {}): World {
  const world = new World(options);
  world.write("/run/tortie/ipam/blocks/192-168-185-0-26.json", fixture("ipamblock-192-168-185-0-26.after.json"));
  world.write("/var/lib/tortie/ippools/default-ipv4-ippool.json", fixture("ippool-default-ipv4.json"));
  return world;
}

export function fixture(name: string): string {
  return readFileSync(`test/fixtures/${name}`, "utf8");
}

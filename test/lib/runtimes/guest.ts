/**
 * A virtual machine as a node: one of Debian's kernels under QEMU, without acceleration and without a network card, driven over a serial line.
 *
 *     vitest ──FIFO──> ttyS1 of the guest: test/vm/guest.sh runs the commands in the guest's own namespaces
 *
 * It boots the files of `scripts/vm-images`; the executables and the scripts are on a disk that is created for each guest. The guest ends when
 * `stop` is called, after some minutes without a command, and after an hour in any case.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import {
  closeSync,
  constants,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { type Completed, type Machine, nodeSetUp, type RunOptions, systemPath } from "../node/netns.ts";
import { ourPluginDir, root } from "../suite.ts";

/** The names that `scripts/vm-images` gives them. */
export const kernels = ["5.10", "6.1", "6.12", "newest"] as const;
export type Kernel = (typeof kernels)[number];

/** Those that `TORTIE_VM_KERNELS` selects (`5.10,newest`), or the default. */
export function chosenKernels(byDefault: readonly Kernel[] = kernels): readonly Kernel[] {
  return (process.env.TORTIE_VM_KERNELS?.split(",") ?? byDefault) as readonly Kernel[];
}

/** The directory of the plugins in the guest. */
export const guestPluginDir = "/test/bin";

const programs = ["qemu-system-x86_64", "mke2fs", "mkfifo", "debootstrap", "cpio", "depmod"];
const bootMs = 120_000;
/** TCG emulation is some twenty times slower than the machine. */
const answerMs = 120_000;
const pauseMs = 2;

/** The reason why guests are not available; `undefined` if they are. */
export function whyNoGuests(): string | undefined {
  const missing = programs.filter((name) => spawnSync("sh", ["-c", `command -v ${name}`]).status !== 0);
  return missing.length === 0 ? undefined : `${missing.join(", ")} missing: scripts/setup --vm installs them`;
}

export interface GuestOptions {
  readonly memoryMiB?: number;
  /** The size of the disk that is mounted at `/test`. */
  readonly diskMiB?: number;
  /** Copies more onto that disk, into this directory. */
  readonly addToDisk?: (directory: string) => void;
}

/** Directory of the kernels, modules and root file system; `TORTIE_VM` overrides it. */
function imageDirectory(): string {
  return process.env.TORTIE_VM ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "tortie/vm");
}

export class Guest implements Machine {
  readonly name: string;
  /** `6.12.117+deb13-amd64`. */
  readonly release: string;
  readonly #qemu: ChildProcess;
  readonly #directory: string;
  readonly #to: number;
  readonly #from: number;
  #unread = "";

  private constructor(kernel: Kernel, qemu: ChildProcess, directory: string) {
    this.name = kernel;
    this.#qemu = qemu;
    this.#directory = directory;
    this.#to = openSync(`${directory}/line.in`, constants.O_RDWR);
    this.#from = openSync(`${directory}/line.out`, constants.O_RDONLY | constants.O_NONBLOCK);
    const [word, release = ""] = this.#readLine(bootMs).split(" ");
    if (word !== "READY") throw new Error(`cannot boot ${kernel}: ${release}\n${this.#lastWords()}`);
    this.release = release;
  }

  /** Boots a kernel, which is downloaded first if necessary. Throws with the last lines of the console if it does not come up. */
  static start(kernel: Kernel, options: GuestOptions = {}): Guest {
    const images = imageDirectory();
    const got = spawnSync(join(root, "scripts/vm-images"), [images, kernel], {
      stdio: ["ignore", "inherit", "inherit"],
    });
    if (got.status !== 0) throw new Error(`cannot get kernel ${kernel}: see above`);
    const directory = mkdtempSync(join(tmpdir(), "tortie-vm-"));
    makeTestDisk(directory, options);
    runOrThrow("mkfifo", [`${directory}/line.in`, `${directory}/line.out`]);
    const arguments_ = optionsOf(images, kernel, directory, options);
    const qemu = spawn("timeout", ["-k", "5", "3600", "qemu-system-x86_64", ...arguments_], {
      stdio: ["ignore", "ignore", openSync(`${directory}/qemu`, "w")],
    });
    try {
      return new Guest(kernel, qemu, directory);
    } catch (error) {
      qemu.kill();
      throw error;
    }
  }

  /** Runs a program to its end; the caller checks its exit code. */
  run(argv: readonly string[], { env, in: pod, stdin = "", timeoutMs = answerMs }: RunOptions = {}): Completed {
    const variables = Object.entries(env ?? { PATH: systemPath }).map(([name, value]) => `${name}=${value}`);
    const seconds = String(Math.ceil(timeoutMs / 1000));
    const enter = pod === undefined ? [] : ["nsenter", `--net=/run/netns/${pod}`];
    const command = ["timeout", "-k", "1", seconds, ...enter, "env", "-i", ...variables, ...argv];
    return this.#ask(`exec < <(printf %s ${quote(stdin)})\n${command.map(quote).join(" ")}`, timeoutMs + answerMs);
  }

  async runBeside(argv: readonly string[], options: RunOptions = {}): Promise<Completed> {
    return this.run(argv, options);
  }

  /** Runs a shell script, which must succeed; returns its output. */
  sh(script: string, options: RunOptions = {}): string {
    const { status, stdout, stderr } = this.run(["/bin/sh", "-ec", script], options);
    if (status !== 0) throw new Error(`cannot run in ${this.name}: ${script}: status ${status}\n${stdout}${stderr}`);
    return stdout;
  }

  /** Starts a program in the background; it ends with the guest. */
  start(argv: readonly string[], { in: pod }: RunOptions = {}): void {
    const enter = pod === undefined ? [] : ["nsenter", `--net=/run/netns/${pod}`];
    this.#ask(`${["setsid", ...enter, ...argv].map(quote).join(" ")} >/dev/null 2>&1 </dev/null &`, answerMs);
  }

  addPod(name: string): string {
    this.sh(`ip netns add ${name}; ip -n ${name} link set lo up`);
    return `/run/netns/${name}`;
  }

  removePod(name: string): void {
    this.sh(`for process in $(ip netns pids ${name}); do kill $process; done; ip netns del ${name}`);
  }

  /** A directory of this machine in place of the guest's: only the runtime itself reads what it writes. */
  outerPath(path: string): string {
    return join(this.#directory, "disk", path.replace(/^\/test\//, "/"));
  }

  /** The output of QEMU, and the last lines of the kernel. */
  #lastWords(): string {
    return ["qemu", "console"]
      .filter((name) => existsSync(`${this.#directory}/${name}`))
      .map((name) => readFileSync(`${this.#directory}/${name}`, "utf8").slice(-2000))
      .join("\n");
  }

  async stop(): Promise<void> {
    const ended = new Promise<void>((resolve) => {
      if (this.#qemu.exitCode !== null || this.#qemu.signalCode !== null) resolve();
      else this.#qemu.once("exit", () => resolve());
    });
    this.#qemu.kill();
    await ended;
    closeSync(this.#to);
    closeSync(this.#from);
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #ask(script: string, timeoutMs: number): Completed {
    writeAll(this.#to, Buffer.from(`${Buffer.from(script).toString("base64")}\n`));
    const answer = this.#readLine(timeoutMs);
    const [status, stdout, stderr] = answer.split(" ");
    if (stderr === undefined) throw new Error(`cannot understand guest ${this.name}: ${answer}`);
    const text = (part = "") => Buffer.from(part.slice(1), "base64").toString("utf8");
    return { status: Number(status), signal: undefined, stdout: text(stdout), stderr: text(stderr) };
  }

  /** Waits for a line and blocks the whole process, as commands on a private node do. */
  #readLine(timeoutMs: number): string {
    const buffer = Buffer.alloc(65_536);
    const until = performance.now() + timeoutMs;
    while (!this.#unread.includes("\n")) {
      const length = readAvailable(this.#from, buffer);
      this.#unread += buffer.toString("latin1", 0, length);
      if (length > 0) continue;
      if (performance.now() > until) {
        throw new Error(`no answer from guest ${this.name} within ${timeoutMs / 1000} s\n${this.#lastWords()}`);
      }
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, pauseMs);
    }
    const end = this.#unread.indexOf("\n");
    const line = this.#unread.slice(0, end).trim();
    this.#unread = this.#unread.slice(end + 1);
    return line;
  }
}

function writeAll(fd: number, bytes: Buffer): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
}

/** 0 if no data is available. */
function readAvailable(fd: number, buffer: Buffer): number {
  try {
    return readSync(fd, buffer);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EAGAIN") return 0;
    throw error;
  }
}

/** Creates a disk with the executables, under all their names, and the scripts of the guest. */
function makeTestDisk(directory: string, { diskMiB = 48, addToDisk }: GuestOptions): void {
  const disk = join(directory, "disk");
  mkdirSync(disk);
  cpSync(join(root, "test/vm/guest.sh"), join(disk, "guest.sh"));
  writeFileSync(join(disk, "node.sh"), nodeSetUp);
  // `-a` keeps the hard links of the installed executables; tortie-net is one more of them.
  const beside = ["tortie-net"].map((name) => join(ourPluginDir, "..", name)).filter((path) => existsSync(path));
  runOrThrow("cp", ["-a", ourPluginDir, ...beside, disk]);
  addToDisk?.(disk);
  const plain = "^has_journal,^metadata_csum,^metadata_csum_seed,^orphan_file";
  runOrThrow("mke2fs", [
    "-q",
    "-F",
    "-t",
    "ext4",
    "-O",
    plain,
    "-d",
    disk,
    join(directory, "test.ext4"),
    `${diskMiB}M`,
  ]);
}

/** One processor: two make the guest and the machine slower. The translation cache is bounded: it would take 1 GB. */
function optionsOf(
  images: string,
  kernel: Kernel,
  directory: string,
  { memoryMiB = 512 }: GuestOptions,
): readonly string[] {
  const drive = (file: string, how: string) => ["-drive", `file=${file},if=virtio,format=raw,${how}`];
  return [
    ...["-accel", "tcg,tb-size=128", "-cpu", "max", "-smp", "1", "-m", `${memoryMiB}`, "-M", "pc"],
    ...["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"],
    ...["-kernel", `${images}/${kernel}/vmlinuz`, "-initrd", `${images}/${kernel}/initrd`],
    ...["-append", "console=ttyS0 panic=-1 quiet net.ifnames=0"],
    ...["-serial", `file:${directory}/console`],
    ...["-chardev", `pipe,id=line,path=${directory}/line`, "-serial", "chardev:line"],
    ...drive(`${images}/root.ext4`, "snapshot=on"),
    ...drive(`${images}/${kernel}/modules.ext4`, "readonly=on"),
    ...drive(`${directory}/test.ext4`, "readonly=on"),
  ];
}

export function runOrThrow(program: string, argv: readonly string[]): void {
  const { status, stderr } = spawnSync(program, argv, { encoding: "utf8" });
  if (status !== 0) throw new Error(`cannot run ${program}: ${stderr}`);
}

function quote(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}

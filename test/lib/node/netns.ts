/**
 * A private node: one process holds all namespaces of a test, which end with it.
 *
 *     test process ──pipe──> bash (pid 1 of the node)      mount, net, pid, uts and ipc namespaces of its own
 *                              │
 *            ┌─────────────────┴──────────────── node ───────────────────┐
 *            │ /run: tmpfs     /etc /opt /var/lib /var/log: overlays     │
 *            │ uplink 203.0.113.1/24, 2001:db8:99::1/64                  │
 *            └───────┬──────────────────────────────┬────────────────────┘
 *                    │ veth                         │ made by the plugins
 *       outside: 203.0.113.2, 2001:db8:99::2     pods: /run/netns/<name>
 *
 * **The outside has no route to any pod**: it can only answer packets that have the node's address.
 * **The node has a default route**, as nodes do: the kernel's proxy ARP answers only for addresses that it can route elsewhere.
 * **Nothing outlives the test**: pid 1 reads from a pipe that only the test process can write to. However that process ends
 * (return, SIGINT, kill -9), the kernel closes the pipe, pid 1 ends, and with it every process, mount and namespace of the node.
 * Nothing has a name on the machine, so there are no leftovers to remove at the next start.
 * **The machine is untouched**: what a plugin writes under /run, /etc, /opt, /var/lib and /var/log goes to the node's tmpfs,
 * and the sysctls below /proc/sys/net are those of the node's network namespace.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import type { Socket } from "node:net";

export interface Completed {
  /** The exit code; `undefined` if a signal ended the program. */
  readonly status: number | undefined;
  readonly signal: string | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  /** The name of a pod, or `"outside"`; the node itself if absent. */
  readonly in?: string;
  /** The whole environment of the program; only PATH if absent. */
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string;
  readonly timeoutMs?: number;
}

export const nodeAddress4 = "203.0.113.1";
export const nodeAddress6 = "2001:db8:99::1";
export const outsideAddress4 = "203.0.113.2";
export const outsideAddress6 = "2001:db8:99::2";

export const systemPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const namespaces = ["--mount", "--net", "--uts", "--ipc"];

/** A node as runtimes and tests see it: a private one on this machine (`Node`), or a virtual machine (`Guest`). */
export interface Machine {
  readonly name: string;
  run(argv: readonly string[], options?: RunOptions): Completed;
  runBeside(argv: readonly string[], options?: RunOptions): Promise<Completed>;
  sh(script: string, options?: RunOptions): string;
  start(argv: readonly string[], options?: RunOptions): unknown;
  outerPath(path: string): string;
}

export class Node implements Machine {
  readonly name: string;
  /** The process that contains the node's namespaces; those of its children are the node's too. */
  readonly pid: number;
  readonly #holder: ChildProcess;

  private constructor(name: string, holder: ChildProcess, pid: number) {
    this.name = name;
    this.#holder = holder;
    this.pid = pid;
  }

  /** Creates a node with host name `name`. Throws with the output of the set-up if it fails. */
  static async start(name = "node-a"): Promise<Node> {
    const holder = spawn(
      "unshare",
      [...namespaces, "--pid", "--fork", "--kill-child", "--mount-proc", "bash", "-c", setUp, "node", name],
      { stdio: ["pipe", "pipe", "pipe"], env: { PATH: systemPath } },
    );
    await ready(holder);
    if (holder.pid === undefined) throw new Error("cannot start a node: unshare has no process id");
    return new Node(name, holder, holder.pid);
  }

  /** Runs a program to its end; the caller checks its exit code. */
  run(argv: readonly string[], options: RunOptions = {}): Completed {
    const done = spawnSync("/usr/bin/nsenter", [...this.#enter(options.in), ...argv], {
      env: options.env ?? { PATH: systemPath },
      input: options.stdin ?? "",
      timeout: options.timeoutMs ?? 60_000,
      killSignal: "SIGKILL",
      encoding: "utf8",
      maxBuffer: 64 * 1024 * 1024,
    });
    // EPIPE: a program need not read its stdin.
    const failed = done.error !== undefined && (done.error as NodeJS.ErrnoException).code !== "EPIPE";
    if (failed) throw new Error(`cannot run ${argv.join(" ")}: ${done.error?.message}`);
    return {
      status: done.status ?? undefined,
      signal: done.signal ?? undefined,
      stdout: done.stdout,
      stderr: done.stderr,
    };
  }

  /** The same, asynchronously. */
  runBeside(argv: readonly string[], options: RunOptions = {}): Promise<Completed> {
    const child = spawn("/usr/bin/nsenter", [...this.#enter(options.in), ...argv], {
      env: options.env ?? { PATH: systemPath },
      stdio: "pipe",
      timeout: options.timeoutMs ?? 60_000,
      killSignal: "SIGKILL",
    });
    const texts = { stdout: "", stderr: "" };
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      texts.stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      texts.stderr += text;
    });
    // EPIPE: a program need not read its stdin.
    child.stdin.on("error", () => {});
    child.stdin.end(options.stdin ?? "");
    return new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (status, signal) =>
        resolve({ status: status ?? undefined, signal: signal ?? undefined, ...texts }),
      );
    });
  }

  /** Runs a shell script, which must succeed; returns its output. */
  sh(script: string, options: RunOptions = {}): string {
    const { status, signal, stdout, stderr } = this.run(["/bin/sh", "-ec", script], options);
    if (status !== 0) {
      throw new Error(
        `cannot run in ${options.in ?? this.name}: ${script}: ${signal ?? `status ${status}`}\n${stdout}${stderr}`,
      );
    }
    return stdout;
  }

  /** Starts a program in the background; it ends with the node. */
  start(argv: readonly string[], options: RunOptions = {}): ChildProcess {
    return spawn("/usr/bin/nsenter", [...this.#enter(options.in), ...argv], {
      env: options.env ?? { PATH: systemPath },
      stdio: ["ignore", "pipe", "pipe"],
    });
  }

  /** Creates an empty network namespace and returns its path inside the node. */
  addPod(name: string): string {
    this.sh(`ip netns add ${name}; ip -n ${name} link set lo up`);
    return `/run/netns/${name}`;
  }

  removePod(name: string): void {
    this.sh(`ip netns del ${name}`);
  }

  /** The path of a node's file as seen by this process. */
  outerPath(path: string): string {
    return `/proc/${this.pid}/root${path}`;
  }

  async stop(): Promise<void> {
    if (this.#holder.exitCode !== null || this.#holder.signalCode !== null) return;
    this.#holder.ref();
    const ended = new Promise<void>((resolve) => this.#holder.once("exit", () => resolve()));
    this.#holder.stdin?.destroy();
    await ended;
  }

  /** nsenter opens its files before it enters the mount namespace, so paths through /proc/PID/root are resolved outside. */
  #enter(netns: string | undefined): readonly string[] {
    const net = netns === undefined ? "--net" : `--net=${this.outerPath(`/run/netns/${netns}`)}`;
    const pid = `--pid=/proc/${this.pid}/ns/pid_for_children`;
    return [`--target=${this.pid}`, "--mount", net, "--uts", "--ipc", pid, "--"];
  }
}

/** Sets up the node in the namespaces of bash; its host name is the first argument. */
export const nodeSetUp = `
set -e
hostname "$1"
mount -t tmpfs -o mode=755 tmpfs /run
for directory in /etc /opt /var/lib /var/log; do
  [ -d "$directory" ] || continue
  mkdir -p "/run/.node$directory/upper" "/run/.node$directory/work"
  mount -t overlay -o "lowerdir=$directory,upperdir=/run/.node$directory/upper,workdir=/run/.node$directory/work" overlay "$directory"
done
# The default pool keeps clear of resolvers: the machine's own must not decide which one a test gets.
rm -f /etc/resolv.conf
echo "nameserver ${outsideAddress4}" >/etc/resolv.conf
ip link set lo up
ip netns add outside
ip -n outside link set lo up
ip link add uplink type veth peer name uplink netns outside
ip address add ${nodeAddress4}/24 dev uplink
ip address add ${nodeAddress6}/64 dev uplink nodad
ip -n outside address add ${outsideAddress4}/24 dev uplink
ip -n outside address add ${outsideAddress6}/64 dev uplink nodad
ip link set uplink addrgenmode none up
ip -n outside link set uplink addrgenmode none up
ip address add fe80::1/64 dev uplink nodad
ip -n outside address add fe80::2/64 dev uplink nodad
ip route add default via ${outsideAddress4}
ip -6 route add default via ${outsideAddress6}
`;

/** While bash waits in `read` it reaps orphans, as pid 1 must. */
const setUp = `${nodeSetUp}
echo ready
while read -r _; do :; done
`;

/** A running node must not keep the test process alive: closing the pipe ends the node. */
function ready(holder: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    let complaint = "";
    holder.stderr?.on("data", (chunk: Buffer) => {
      complaint += chunk.toString();
    });
    holder.once("error", reject);
    holder.once("exit", () => reject(new Error(`cannot start a node: ${complaint.trim()}`)));
    holder.stdout?.once("data", () => {
      holder.unref();
      for (const stream of [holder.stdin, holder.stdout, holder.stderr]) (stream as unknown as Socket).unref();
      resolve();
    });
  });
}

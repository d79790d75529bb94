/** A node of the model machine: runs our plugins as a runtime would, one process each. */
import type { PluginName } from "#plugins/descriptors";
import { programs } from "#plugins/programs";
import type { FileStat, Sys } from "../../../src/host/sys.ts";
import { exitCodeOf } from "../../../src/plugin/run.ts";
import type { Fault, Step } from "../faults/fault.ts";
import { faultySys } from "../faults/faulty-sys.ts";
import { FakeNft } from "./nft.ts";
import { FakeMachine, FakeSys } from "./sys.ts";

const binDirectory = "/opt/cni/bin";
const ownExecutable = "/proc/self/exe";

export interface Call {
  /** Default: calico. */
  readonly plugin?: PluginName;
  readonly container?: string;
  readonly ifname?: string;
  readonly args?: string;
  /** The sandbox's name; `undefined` for a DEL after the runtime has lost it. */
  readonly sandbox?: string | undefined;
  /** Merged into the configuration. */
  readonly conf?: object;
  /** Faults of the process. */
  readonly faults?: readonly Fault[];
}

export interface Answer {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: JSON of any shape, which the tests inspect.
  readonly json: any;
  readonly steps: readonly Step[];
  readonly killed: boolean;
}

export class FakeNode {
  readonly machine = new FakeMachine();
  readonly nft = new FakeNft();

  constructor() {
    this.machine.netfilter = () => this.nft;
    this.machine.files.makeDirs("/proc/self", 0o755);
    this.machine.files.makeDirs(binDirectory, 0o755);
    this.machine.files.create(ownExecutable, "", 0o755);
  }

  /** Creates the sandbox with that name if it does not exist. */
  sandbox(name: string): void {
    if (!this.machine.netnsPaths.has(`/var/run/netns/${name}`)) this.machine.addSandbox(name);
  }

  run(command: string, call: Call = {}): Answer {
    const { plugin = "calico", container = "c1", ifname = "eth0", args = "", conf = {}, faults = [] } = call;
    const sandbox = "sandbox" in call ? call.sandbox : container;
    const process = new Process({
      machine: this.machine,
      environment: {
        CNI_COMMAND: command,
        CNI_CONTAINERID: container,
        CNI_NETNS: sandbox === undefined ? "" : `/var/run/netns/${sandbox}`,
        CNI_IFNAME: ifname,
        CNI_ARGS: args,
        CNI_PATH: binDirectory,
      },
      stdin: JSON.stringify({
        cniVersion: "1.1.0",
        name: "net1",
        type: plugin,
        ipam: { type: "calico-ipam" },
        ...conf,
      }),
    });
    // No two processes start at the same time.
    this.machine.nowMs++;
    const steps: Step[] = [];
    let killed = false;
    const die = () => {
      killed = true;
      process.end();
      throw new Error("killed");
    };
    const sys = faultySys(process, { faults, die, onStep: (step) => steps.push(step) });
    const status = exitCodeOf(programs[plugin], sys);
    const { stdout } = process;
    return { status, json: stdout === "" || killed ? undefined : JSON.parse(stdout), steps, killed };
  }

  /** A process for `exec`, with exactly this environment and standard input. */
  process(environment: Readonly<Record<string, string>>, stdin: string): FakeSys {
    this.machine.nowMs++;
    return new Process({ machine: this.machine, environment, stdin });
  }

  /** Runs a plugin as that process, or on another `Sys` of the machine. Returns its exit code. */
  exec(plugin: PluginName, sys: Sys): number {
    return exitCodeOf(programs[plugin], sys);
  }

  /**
   * Everything on the node that an attachment could leave behind, as text: the kernel's objects in every namespace, the files of attachments,
   * assigned addresses, and temporary files.
   */
  state(): string {
    // A node that forwards keeps forwarding, and the settings of a sandbox belong to the runtime.
    const [host = "", ...sandboxes] = this.machine.kernel
      .print()
      .replace(/^sysctl .*\n?/gm, "")
      .split("\n\n");
    const used = sandboxes.filter((sandbox) => sandbox.trim().includes("\n"));
    return [host.trimEnd(), ...used, this.nft.print(), ...this.#attachmentFiles(), ...this.#takenAddresses()].join(
      "\n",
    );
  }

  #attachmentFiles(): readonly string[] {
    return this.machine.files
      .print()
      .split("\n")
      .filter((line) => /^\/run\/tortie\/(endpoints|parts|ipam\/handles)\/.|^\/.*\/\.tmp-/.test(line));
  }

  #takenAddresses(): readonly string[] {
    const { files } = this.machine;
    const directory = "/run/tortie/ipam/blocks";
    if (files.stat(directory) === undefined) return [];
    return files.list(directory).flatMap((name) => {
      if (name.startsWith(".")) return [];
      const { spec } = JSON.parse(files.read(`${directory}/${name}`)) as { spec: { allocations: (number | null)[] } };
      const taken = spec.allocations.flatMap((index, ordinal) => (index === null ? [] : [ordinal]));
      return taken.length === 0 ? [] : [`block ${name}: ${taken.join(" ")}`];
    });
  }
}

/** A process whose executable has the names of all plugins. */
class Process extends FakeSys {
  override stat(path: string): FileStat | undefined {
    return super.stat(path.startsWith(`${binDirectory}/`) ? ownExecutable : path);
  }
}

/**
 * One subject on a private node of its own: the row's hands and eyes. A row gets a stage that no other row has touched.
 *
 * **Nothing left** means: no object in the kernel and no file that was not there before, and no file outside of logs that still names the
 * container. What a set of plugins sets up once and keeps (a table, a pool, a folder) is there before, for `settle` attaches and detaches
 * one container first.
 */
import { type Conflist, isNewer, type JsonObject } from "../lib/conflist.ts";
import { type Completed, Node, systemPath } from "../lib/netns.ts";
import { type CniResult, type Command, Runner, requestOf, type Sandbox } from "../lib/runner.ts";
import { snapshot } from "../lib/snapshot.ts";
import { answers, ping } from "../lib/traffic.ts";
import { attached, mainOf } from "./chains.ts";
import { doublesFolder } from "./doubles.ts";
import { about, Unmet, want } from "./row.ts";
import type { Part, Role, Subject } from "./subject.ts";

/** A sandbox, and the name by which `Node` runs programs in it. */
export interface Pod extends Sandbox {
  readonly pod: string;
}

/** What a plugin is asked, as changes to a request that is right in everything. */
export interface Question {
  /** CNI_COMMAND; ADD when absent. */
  readonly command?: string;
  /** Whose sandbox; one that nothing else is done with when absent. */
  readonly pod?: Sandbox;
  /** Variables other than a runtime's; `undefined` for one that is not set. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Keys other than the configuration's. */
  readonly request?: JsonObject;
  /** Instead of a request. */
  readonly stdin?: string;
  /** Programs to run the plugin under, with their arguments. */
  readonly under?: readonly string[];
}

export interface Answer extends Completed {
  /** `portmap ADD`. */
  readonly asked: string;
}

/** A node as it was, by kinds of lines. */
export interface Sight {
  readonly lines: ReadonlySet<string>;
  readonly text: string;
}

export class Stage {
  readonly subject: Subject;
  readonly node: Node;
  readonly runner: Runner;
  /** What the row measured, for the table. */
  figure: string | undefined;
  #pods = 0;
  #idle: Pod | undefined;

  private constructor(subject: Subject, node: Node) {
    this.subject = subject;
    this.node = node;
    this.runner = new Runner({ node, pluginDirs: [subject.dir, doublesFolder] });
  }

  static async open(subject: Subject): Promise<Stage> {
    return new Stage(subject, await Node.start());
  }

  async close(): Promise<void> {
    await this.node.stop();
  }

  /** The whole chain. */
  get list(): Conflist {
    return this.subject.list;
  }

  /** The plugins, each on its own. */
  get parts(): readonly Part[] {
    return this.subject.parts;
  }

  /** Throws when there is none: the row should have required it. */
  part(role: Role): Part {
    const found = this.parts.find((part) => part.role === role);
    if (found === undefined) throw new Error(`the conflist has no ${role}`);
    return found;
  }

  /** The main plugin, by the configuration that a list has for it. */
  main(list = this.list): Part {
    return { ...this.part("main"), conf: mainOf(list) };
  }

  /** Judges every plugin, or those of some roles, one after the other. */
  everyPart(judge: (part: Part) => void, among: (part: Part) => boolean = () => true): void {
    for (const part of this.parts.filter(among)) about(part.type, () => judge(part));
  }

  /** A new, empty sandbox. */
  newPod(more: Partial<Sandbox> = {}): Pod {
    this.#pods += 1;
    const pod = `pod${this.#pods}`;
    return { pod, containerId: `${pod}-5f1c0e9ab2`, netns: this.node.addPod(pod), ifname: "eth0", ...more };
  }

  /** Asks one plugin one thing, as a runtime would. Throws `Unmet` when there is no answer for a minute. */
  ask(part: Part, question: Question = {}): Answer {
    const { command = "ADD", request = {}, under = [] } = question;
    const asked = `${part.type} ${command}`;
    const argv = [...under, `${this.subject.dir}/${part.type}`];
    const stdin = question.stdin ?? JSON.stringify({ ...this.requestFor(part), ...request });
    try {
      return { ...this.node.run(argv, { env: this.#environment(part, command, question), stdin }), asked };
    } catch (error) {
      if (!String(error).includes("ETIMEDOUT")) throw error;
      throw new Unmet(`an answer of ${asked} within a minute`, "none");
    }
  }

  /** The same, beside others. */
  async askBeside(part: Part, question: Question = {}): Promise<Answer> {
    const { command = "ADD", request = {} } = question;
    const stdin = question.stdin ?? JSON.stringify({ ...this.requestFor(part), ...request });
    const env = this.#environment(part, command, question);
    const done = await this.node.runBeside([`${this.subject.dir}/${part.type}`], { env, stdin });
    return { ...done, asked: `${part.type} ${command}` };
  }

  /** A request that is right in everything, in the newest version that the plugin speaks; a chained plugin's has a result to work on. */
  requestFor(part: Part, cniVersion = newest(part.versions)): JsonObject {
    const prevResult = part.chained ? { prevResult: someResult(cniVersion, this.#idlePod().netns) } : {};
    return { ...part.conf, cniVersion, name: this.list.name, ...prevResult };
  }

  /** ADD of the whole chain, or of another list. Throws `PluginError`. */
  add(pod: Sandbox, list = this.list): CniResult {
    return this.runner.add(list, pod);
  }

  check(pod: Sandbox, list = this.list): void {
    this.runner.check(list, pod);
  }

  del(pod: Sandbox, list = this.list): void {
    this.runner.del(list, pod);
  }

  /** One command to every plugin of a list, in the order of ADD (of DEL for DEL), without anything that a runtime remembers. */
  each(command: Command, pod: Sandbox | undefined, change: JsonObject = {}, list = this.list): readonly Answer[] {
    const plugins = command === "DEL" ? [...list.plugins].reverse() : list.plugins;
    const sandbox = pod ?? { containerId: "", netns: "", ifname: "" };
    return plugins.map((plugin) => {
      const request = { ...requestOf(list, plugin, pod === undefined ? {} : { sandbox }), ...change };
      return { ...this.runner.tryExec(command, plugin.type, request, sandbox), asked: `${plugin.type} ${command}` };
    });
  }

  /** The node as it is now. */
  look(): Sight {
    const text = snapshot(this.node)
      .split("\n")
      .filter((line) => !isLog.test(line))
      .join("\n");
    return { text, lines: new Set(text.split("\n").map(withoutContent)) };
  }

  /** Attaches a container, with all that the chain can do, and detaches it, and looks: what is there now stays in any case. */
  settle(list = this.list): Sight {
    const pod = this.newPod({ capabilities: attached(8079) });
    this.add(pod, list);
    this.del(pod, list);
    this.node.removePod(pod.pod);
    return this.look();
  }

  /** Throws `Unmet` when the node has anything that it had not then, or remembers a container that is gone. */
  wantNothingLeft(since: Sight, gone: readonly Pick<Sandbox, "containerId">[]): void {
    // The kernel takes the links of a network namespace away some time after it.
    const come = this.#until(
      () => [...this.look().lines].filter((line) => !since.lines.has(line)),
      (lines) => lines.length === 0,
    );
    want(come.length === 0, "nothing left on the node", come.join("; "));
    const files = gone.flatMap(({ containerId }) => this.filesNaming(containerId));
    want(files.length === 0, "no file that names the container", files);
  }

  /** Ends a sandbox as a crash does, without a DEL, and waits until the node has lost its interfaces. */
  kill({ pod }: Pod): void {
    const links = () => this.node.sh("ip -o link").split("\n").length;
    const peers = this.node.sh("ip -o link", { in: pod }).split("@").length - 1;
    const before = links();
    this.node.removePod(pod);
    this.#until(links, (now) => now <= before - peers);
  }

  /** Throws `Unmet` unless the node has the same objects and files as then. */
  wantSame(since: Sight): void {
    const now = this.look().lines;
    const gone = [...since.lines].filter((line) => !now.has(line));
    const come = [...now].filter((line) => !since.lines.has(line));
    want(gone.length + come.length === 0, "a node without changes", [...gone, ...come].join("; "));
  }

  /** Throws `Unmet` unless all is as it was, contents of files included. */
  wantUnchanged(since: Sight): void {
    const now = this.look().text.split("\n");
    const old = since.text.split("\n");
    const [before, after] = [new Set(old), new Set(now)];
    const different = [...old.filter((line) => !after.has(line)), ...now.filter((line) => !before.has(line))];
    want(different.length === 0, "a node without changes", different.join("; "));
  }

  /** Throws `Unmet` unless the node reaches an attachment, and the outside each of its host ports. */
  wantServed(pod: Pod, list = this.list): void {
    about(`the attachment of "${pod.containerId}"`, () => {
      const [address] = addressesOf(this.runner.cached(list, pod) ?? {});
      want(ping(this.node, undefined, address ?? ""), `an answer from ${address}`, "none");
      const { portMappings = [] } = (pod.capabilities ?? {}) as { readonly portMappings?: readonly Mapping[] };
      for (const { hostPort, protocol } of portMappings) {
        if (protocol !== "tcp") continue;
        want(answers(this.node, "outside", "203.0.113.1", hostPort), `an answer on host port ${hostPort}`, "none");
      }
    });
  }

  /** Looks again for a second, until what it sees will do. */
  #until<T>(see: () => T, isEnough: (seen: T) => boolean): T {
    let seen = see();
    for (let turn = 0; turn < 20 && !isEnough(seen); turn++) {
      this.node.sh("sleep 0.05");
      seen = see();
    }
    return seen;
  }

  #idlePod(): Pod {
    this.#idle ??= this.newPod();
    return this.#idle;
  }

  #environment(part: Part, command: string, { env = {}, pod }: Question): Readonly<Record<string, string>> {
    const sandbox = pod ?? { ...this.#idlePod(), ifname: part.ifname };
    const all = {
      PATH: systemPath,
      CNI_COMMAND: command,
      CNI_CONTAINERID: sandbox.containerId,
      CNI_NETNS: sandbox.netns,
      CNI_IFNAME: sandbox.ifname,
      CNI_ARGS: (sandbox.args ?? []).map(([key, value]) => `${key}=${value}`).join(";"),
      CNI_PATH: `${this.subject.dir}:${doublesFolder}`,
      ...env,
    };
    const set = Object.entries(all).filter((entry): entry is [string, string] => entry[1] !== undefined);
    return Object.fromEntries(set);
  }

  /** Files of the node, logs left out, that hold a container's ID. */
  filesNaming(containerId: string): readonly string[] {
    const script = `
cd /run; grep -rlF --exclude-dir=.node --exclude-dir=netns -e ${containerId} . | sed 's#^.#/run#'
for folder in etc opt var/lib; do
  cd /run/.node/$folder/upper 2>/dev/null || continue
  grep -rlF -e ${containerId} . | sed "s#^.#/$folder#"
done
true`;
    return this.node
      .sh(script)
      .split("\n")
      .filter((line) => line !== "");
  }
}

interface Mapping {
  readonly hostPort: number;
  readonly protocol: string;
}

/** The addresses of a result of any version, without their prefix lengths. */
export function addressesOf(result: CniResult): readonly string[] {
  const { ip4, ip6 } = result as { readonly ip4?: { readonly ip: string }; readonly ip6?: { readonly ip: string } };
  const all = [...(result.ips ?? []).map(({ address }) => address), ...[ip4, ip6].flatMap((one) => one?.ip ?? [])];
  return all.map((address) => address.replace(/\/.*/, ""));
}

export function newest(versions: readonly string[]): string {
  return [...versions].sort((a, b) => (isNewer(a, b) ? -1 : 1))[0] ?? "1.0.0";
}

/** A result such as a chained plugin may get, of a container that is not there. */
export function someResult(cniVersion: string, sandbox: string): JsonObject {
  const labelled = isNewer("1.0.0", cniVersion) ? { version: "4" } : {};
  return {
    cniVersion,
    interfaces: [
      { name: "veth0", mac: "02:00:00:00:00:01" },
      { name: "eth0", mac: "02:00:00:00:00:02", sandbox },
    ],
    ips: [{ ...labelled, address: "10.22.0.2/24", gateway: "10.22.0.1", interface: 1 }],
    routes: [{ dst: "0.0.0.0/0" }],
    dns: {},
  };
}

/** A log tells what happened, also of what is gone. */
const isLog = /^file \/var\/log\//;

/** A file is known by its path: what counters and pointers say changes with every container. */
function withoutContent(line: string): string {
  return line.startsWith("file ") ? line.replace(/ \d+ \d+ *$/, "") : line;
}

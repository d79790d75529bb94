/**
 * One subject on its own private node, with the actions and observations that rows need. Each row gets a fresh stage.
 *
 * **Nothing left** means: no new object in the kernel, no new file, and no file outside of logs that still names the container. What a set of
 * plugins creates once and keeps (a table, a pool, a directory) exists before, because `settle` first attaches and detaches one container.
 */
import type { Conflist, JsonObject } from "../lib/conflist.ts";
import { type Completed, Node, systemPath } from "../lib/node/netns.ts";
import { answers, ping, serve } from "../lib/node/traffic.ts";
import { type CniResult, type Command, Runner, requestOf, type Sandbox } from "../lib/runtimes/runner.ts";
import { attached, mainOf } from "./chains.ts";
import { doublesDirectory } from "./doubles.ts";
import { addressesOf, newest, someResult } from "./results.ts";
import { about, Unmet, want } from "./row.ts";
import { filesNaming, type Sight, sightOf } from "./sight.ts";
import type { Part, Role, Subject } from "./subject.ts";

/** A sandbox, and the name that `Node` uses to run programs in it. */
export interface Pod extends Sandbox {
  readonly pod: string;
}

/** A request to a plugin, as changes to a valid one. */
export interface Question {
  /** CNI_COMMAND; ADD if absent. */
  readonly command?: string;
  /** The sandbox; if absent, one that is used for nothing else. */
  readonly pod?: Sandbox;
  /** Variables that differ from a runtime's; `undefined` for an unset one. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Keys that differ from the configuration's. */
  readonly request?: JsonObject;
  /** Replaces the request. */
  readonly stdin?: string;
  /** Command prefix for the plugin. */
  readonly under?: readonly string[];
}

export interface Answer extends Completed {
  /** `portmap ADD`. */
  readonly asked: string;
}

export class Stage {
  readonly subject: Subject;
  readonly node: Node;
  readonly runner: Runner;
  /** A measurement of the row, for the table. */
  figure: string | undefined;
  #pods = 0;
  #idle: Pod | undefined;

  private constructor(subject: Subject, node: Node) {
    this.subject = subject;
    this.node = node;
    this.runner = new Runner({ node, pluginDirs: [subject.dir, doublesDirectory] });
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

  /** The plugins, each as a separate part. */
  get parts(): readonly Part[] {
    return this.subject.parts;
  }

  /** Throws if there is none: the row should have required it. */
  part(role: Role): Part {
    const found = this.parts.find((part) => part.role === role);
    if (found === undefined) throw new Error(`the conflist has no ${role}`);
    return found;
  }

  /** The main plugin, with its configuration from a list. */
  main(list = this.list): Part {
    return { ...this.part("main"), conf: mainOf(list) };
  }

  /** Tests every plugin, or those that `among` selects, in order. */
  everyPart(judge: (part: Part) => void, among: (part: Part) => boolean = () => true): void {
    for (const part of this.parts.filter(among)) about(part.type, () => judge(part));
  }

  /** A new, empty sandbox. */
  newPod(more: Partial<Sandbox> = {}): Pod {
    this.#pods += 1;
    const pod = `pod${this.#pods}`;
    return { pod, containerId: `${pod}-5f1c0e9ab2`, netns: this.node.addPod(pod), ifname: "eth0", ...more };
  }

  /** Runs a shell script on the node or in a pod. Throws `Unmet` if it fails, because the plugins have not done their work. */
  sh(script: string, options: { readonly in?: string; readonly stdin?: string } = {}): string {
    const { status, stdout, stderr } = this.node.run(["/bin/sh", "-ec", script], options);
    want(status === 0, `success of: ${script.trim()}`, `${stderr}${stdout}`);
    return stdout;
  }

  /** Sends one request to one plugin, as a runtime would. Throws `Unmet` without an answer within a minute. */
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

  /** The same, asynchronously. */
  async askBeside(part: Part, question: Question = {}): Promise<Answer> {
    const { command = "ADD", request = {} } = question;
    const stdin = question.stdin ?? JSON.stringify({ ...this.requestFor(part), ...request });
    const env = this.#environment(part, command, question);
    const done = await this.node.runBeside([`${this.subject.dir}/${part.type}`], { env, stdin });
    return { ...done, asked: `${part.type} ${command}` };
  }

  /** A valid request in the newest version that the plugin supports; for a chained plugin it includes a result. */
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

  /** Attaches a new container with limits and with this host port, which leads to a service on its port 80. */
  serve(hostPort: number, list = this.list): Pod {
    const pod = this.newPod({ capabilities: attached(hostPort) });
    this.add(pod, list);
    serve(this.node, pod.pod, 80);
    return pod;
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

  /** The current state of the node. */
  look(): Sight {
    return sightOf(this.node);
  }

  /** Attaches and detaches a container with all features of the chain; returns the state, which contains what the plugins keep. */
  settle(list = this.list): Sight {
    const pod = this.newPod({ capabilities: attached(8079) });
    this.add(pod, list);
    this.wantAttached(pod);
    this.del(pod, list);
    this.node.removePod(pod.pod);
    return this.look();
  }

  /** Throws `Unmet` if the node has anything new since then, or any file names a removed container. */
  wantNothingLeft(since: Sight, gone: readonly Pick<Sandbox, "containerId">[]): void {
    const files = this.#wantNoObjectLeft(since).filter((line) => line.startsWith("file "));
    want(files.length === 0, "no file left on the node", files.join("; "));
    this.#wantForgotten(gone);
  }

  /** The same, but new files that name none of the containers may stay, because a plugin's records may grow with many containers. */
  wantNobodyLeft(since: Sight, gone: readonly Pick<Sandbox, "containerId">[]): void {
    this.#wantNoObjectLeft(since);
    this.#wantForgotten(gone);
  }

  /** Ends a sandbox with all its processes as a crash does, without a DEL, and waits until its interfaces are gone. */
  kill({ pod }: Pod): void {
    const links = () => this.node.sh("ip -o link").split("\n").length;
    const peers = this.node.sh("ip -o link", { in: pod }).split("@").length - 1;
    const before = links();
    this.node.sh(`ip netns pids ${pod} | xargs -r kill -9`);
    this.node.removePod(pod);
    const after = this.#until(links, (now) => now <= before - peers, 200);
    if (after > before - peers) throw new Error(`the kernel keeps the interfaces of "${pod}"`);
  }

  /** Throws `Unmet` unless the node has the same objects and files as then. */
  wantSame(since: Sight): void {
    const now = this.look().lines;
    const gone = [...since.lines].filter((line) => !now.has(line));
    const come = [...now].filter((line) => !since.lines.has(line));
    want(gone.length + come.length === 0, "a node without changes", [...gone, ...come].join("; "));
  }

  /** Throws `Unmet` if the action changes anything on the node. */
  wantNoChange(action: () => void): void {
    // Create the sandbox for requests without one before the comparison.
    this.#idlePod();
    const before = this.look();
    action();
    this.wantUnchanged(before);
  }

  /** Throws `Unmet` unless everything is unchanged, including the contents of files. */
  wantUnchanged(since: Sight): void {
    const now = this.look().text.split("\n");
    const old = since.text.split("\n");
    const [before, after] = [new Set(old), new Set(now)];
    const different = [...old.filter((line) => !after.has(line)), ...now.filter((line) => !before.has(line))];
    want(different.length === 0, "a node without changes", different.join("; "));
  }

  /** Throws `Unmet` unless the sandbox has the interface. */
  wantAttached({ pod, ifname }: Pod): void {
    const links = this.sh("ip -br link", { in: pod });
    want(links.includes(`${ifname}@`), `an interface "${ifname}" in the sandbox`, links);
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

  /** Returns what is new on the node; throws `Unmet` if that includes an object of the kernel. */
  #wantNoObjectLeft(since: Sight): readonly string[] {
    const isObject = (line: string) => !line.startsWith("file ");
    // The kernel removes the links of a network namespace some time after the namespace.
    const come = this.#until(
      () => [...this.look().lines].filter((line) => !since.lines.has(line)),
      (lines) => !lines.some(isObject),
    );
    const objects = come.filter(isObject);
    want(objects.length === 0, "nothing left on the node", objects.join("; "));
    return come;
  }

  #wantForgotten(gone: readonly Pick<Sandbox, "containerId">[]): void {
    const files = filesNaming(
      this.node,
      gone.map(({ containerId }) => containerId),
    );
    want(files.length === 0, "no file that names a container which is gone", files);
  }

  /** Looks again every 50 ms until `isEnough` is true. */
  #until<T>(see: () => T, isEnough: (seen: T) => boolean, turns = 20): T {
    let seen = see();
    for (let turn = 0; turn < turns && !isEnough(seen); turn++) {
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
      CNI_PATH: `${this.subject.dir}:${doublesDirectory}`,
      ...env,
    };
    const set = Object.entries(all).filter((entry): entry is [string, string] => entry[1] !== undefined);
    return Object.fromEntries(set);
  }

  /** Files of the node, except logs, that contain a container's ID. */
  filesNaming(containerId: string): readonly string[] {
    return filesNaming(this.node, [containerId]);
  }
}

interface Mapping {
  readonly hostPort: number;
  readonly protocol: string;
}

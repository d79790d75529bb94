/**
 * The built agent in a test's node: the node's files, but the machine's network, where the test's datastore listens.
 *
 * So agents of several nodes share one datastore without any network between the nodes. An agent that is to make routes has the node's network
 * instead (`fabric.ts`).
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { defaultSocket, type Message, protocolVersion, type Reply } from "../../../src/node-protocol/messages.ts";
import { type Node, systemPath } from "../node/netns.ts";
import { patience } from "../patience.ts";
import { root } from "../suite.ts";

const program = join(root, "dist/tortie-node.js");

/** A message without the fields that are the same in each. */
type AnyMessage = Message extends infer One
  ? One extends unknown
    ? Omit<One, "version" | "deadlineMs">
    : never
  : never;

export class Agent {
  /** Its log, parsed; `stderr` has the reason if it could not start. */
  readonly lines: Readonly<Record<string, unknown>>[] = [];
  stderr = "";
  readonly #node: Node;
  readonly #process: ChildProcess;

  constructor(node: Node, environment: Readonly<Record<string, string>>, { hasNetwork = false } = {}) {
    const namespaces = ["--mount", "--uts", ...(hasNetwork ? ["--net"] : [])];
    const enter = [`--target=${node.pid}`, ...namespaces, "--", process.execPath, program];
    const child = spawn("/usr/bin/nsenter", enter, {
      env: { PATH: systemPath, ...environment },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#node = node;
    this.#process = child;
    let rest = "";
    child.stdout.setEncoding("utf8").on("data", (more: string) => {
      const parts = (rest + more).split("\n");
      rest = parts.pop() ?? "";
      this.lines.push(...parts.map((line) => JSON.parse(line) as Readonly<Record<string, unknown>>));
    });
    child.stderr.setEncoding("utf8").on("data", (more: string) => {
      this.stderr += more;
    });
  }

  /** Starts an agent and waits until it is ready. */
  static async start(
    node: Node,
    environment: Readonly<Record<string, string>>,
    options: { readonly hasNetwork?: boolean } = {},
  ): Promise<Agent> {
    const agent = new Agent(node, environment, options);
    await agent.says("ready");
    return agent;
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  /** Waits for a log line with this message. */
  async says(message: string): Promise<Readonly<Record<string, unknown>>> {
    for (const deadline = Date.now() + 20_000 * patience; ; await sleep(20)) {
      const found = this.lines.find(({ msg }) => msg === message);
      if (found !== undefined) return found;
      if (this.#process.exitCode !== null || Date.now() > deadline)
        throw new Error(`no "${message}" of the agent: ${this.stderr}${JSON.stringify(this.lines)}`);
    }
  }

  /** Sends a request as a plugin does. */
  async ask(message: AnyMessage): Promise<Reply> {
    const socket = connect(this.#node.outerPath(defaultSocket));
    socket.end(`${JSON.stringify({ version: protocolVersion, deadlineMs: 20_000, ...message })}\n`);
    return JSON.parse(await text(socket)) as Reply;
  }

  /** Waits until it exits; returns its exit code. */
  async ended(): Promise<number | null> {
    const { exitCode, signalCode } = this.#process;
    if (exitCode === null && signalCode === null) await once(this.#process, "close");
    return this.#process.exitCode;
  }

  /** Signals the agent itself: nsenter has executed it in its place. */
  signal(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  /** Stops it with SIGTERM, as an operator does. Returns its exit code. */
  async stop(): Promise<number | null> {
    this.signal("SIGTERM");
    return await this.ended();
  }

  async kill(): Promise<void> {
    this.signal("SIGKILL");
    await this.ended();
  }
}

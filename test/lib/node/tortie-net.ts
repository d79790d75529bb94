/** Runs the built `tortie-net` on a node, once or as the agent does. */
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface, type Interface } from "node:readline";
import {
  encodeLine,
  isEvent,
  type NetEvent,
  type NetLine,
  parseLine,
  type ReportAnswer,
} from "../../../src/net-protocol/messages.ts";
import type { NodePlan, NodeResource, Scope } from "../../../src/plan/node-plan.ts";
import { ourPluginDir } from "../suite.ts";
import { type Node, systemPath } from "./netns.ts";

/** Beside the directory of the plugins. */
export const tortieNet = join(ourPluginDir, "../tortie-net");

const version = 1;
const at = "host";
export const device = "vxlan.calico";

/** Throws if the answer is not a report. */
export function applyPlan(node: Node, plan: NodePlan, options: { readonly in?: string } = {}): ReportAnswer {
  const { stdout, stderr, status } = node.run([tortieNet, "apply"], {
    ...options,
    stdin: encodeLine({ version, plan }),
  });
  const line = stdout === "" ? undefined : parseLine(stdout);
  if (line === undefined || !("applied" in line)) throw new Error(`tortie-net: ${status}: ${stdout}${stderr}`);
  return line as ReportAnswer;
}

/** `tortie-net serve`. */
export class NetServer {
  readonly child: ChildProcess;
  readonly events: NetEvent[] = [];
  readonly #lines: Interface;
  readonly #waiting: ((answer: NetLine) => void)[] = [];
  #onEvent: () => void = () => {};

  constructor(node: Node) {
    const enter = ["-t", `${node.pid}`, "--mount", "--net", "--pid", "--uts", "--ipc", tortieNet, "serve"];
    this.child = spawn("/usr/bin/nsenter", enter, { env: { PATH: systemPath }, stdio: ["pipe", "pipe", "inherit"] });
    if (this.child.stdout === null) throw new Error("no standard output");
    this.#lines = createInterface({ input: this.child.stdout });
    this.#lines.on("line", (text) => {
      const line = parseLine(text);
      if (!isEvent(line)) return this.#waiting.shift()?.(line);
      this.events.push(line);
      this.#onEvent();
    });
  }

  ask(
    request:
      | { readonly plan: NodePlan }
      | { readonly add: readonly NodeResource[]; readonly remove: readonly NodeResource[] },
  ) {
    return this.send(encodeLine({ version, ...request })) as Promise<ReportAnswer>;
  }

  send(text: string): Promise<NetLine> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      this.child.stdin?.write(text);
    });
  }

  /** The first event, past or to come, of which this holds. */
  async event(isWanted: (event: NetEvent) => boolean): Promise<NetEvent> {
    for (;;) {
      const found = this.events.find(isWanted);
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => {
        this.#onEvent = resolve;
      });
    }
  }

  /** Ends standard input; returns the exit code. */
  end(): Promise<number | null> {
    return new Promise((resolve) => {
      this.child.once("exit", (status) => resolve(status));
      this.child.stdin?.end();
    });
  }
}

/** How the tests number nodes: from 1 to 250. */
export function macOf(number: number): string {
  return `66:00:00:00:00:${number.toString(16).padStart(2, "0")}`;
}

/** The device of node `number` over a link. */
export function ownDevice(number: number, uplink: string, local: string): readonly NodeResource[] {
  return [
    { kind: "vxlan", at, name: device, vni: 4096, port: 4789, local, device: uplink, mac: macOf(number), mtu: 1400 },
    { kind: "address", at, link: device, address: `10.65.${number}.1/32` },
    { kind: "blackhole", at, destination: `10.65.${number}.0/26`, protocol: 80 },
  ];
}

/** What a node knows of node `number`, whose address is `destination`. */
export function peer(number: number, destination: string): readonly NodeResource[] {
  const address = `10.65.${number}.1`;
  const mac = macOf(number);
  return [
    { kind: "neighbour", at, link: device, address, mac },
    { kind: "fdb", at, link: device, mac, destination },
    {
      ...{ kind: "route", at, link: device, destination: `10.65.${number}.0/26` },
      ...{ gateway: address, onlink: true, mtu: 1400 },
    },
  ];
}

export const scopes: readonly Scope[] = [
  { kind: "routes", protocol: 80, table: 254, family: 4 },
  { kind: "routes", protocol: 80, table: 254, family: 6 },
  { kind: "link", link: device },
  { kind: "device", name: device },
];

/** A private node with two pods of the whole chain, for tests of `tortie trace`: faults are made by scripts, and mended by the remedies that it prints. */
import { setImmediate } from "node:timers/promises";
import { expect } from "vitest";
import { loadConflist } from "../conflist.ts";
import { Runner } from "../runtimes/runner.ts";
import { example, pluginDirs } from "../suite.ts";
import { Node } from "./netns.ts";
import { traced, wrongHop } from "./trace.ts";

export interface Fault {
  readonly name: string;
  readonly script: string;
  readonly undo: string;
  /** Other than the second pod; `uplink`: the node's own address. */
  readonly to?: string;
  readonly finds: RegExp;
  /** Whether the remedy's commands mend it. */
  readonly mends?: true;
}

/** The TCP port of the node that leads to the second pod. */
export const hostPort = 8080;

export class TraceNode {
  readonly node: Node;
  /** Of the second pod. */
  readonly addresses: Readonly<Record<4 | 6, string>>;
  /** The variables of the scripts: the host interface and the addresses of the pods a and b. */
  readonly #variables: string;

  private constructor(node: Node, pods: readonly { readonly link: string; readonly ips: readonly string[] }[]) {
    const [a, b] = pods;
    this.node = node;
    this.addresses = { 4: b?.ips[0] ?? "", 6: b?.ips[1] ?? "" };
    this.#variables = `A=${a?.link} B=${b?.link} A4=${a?.ips[0]} A6=${a?.ips[1]} B4=${b?.ips[0]} B6=${b?.ips[1]}; `;
  }

  static async start(): Promise<TraceNode> {
    const node = await Node.start();
    const runner = new Runner({ node, pluginDirs });
    const list = loadConflist(example("10-calico-dual-stack.conflist"));
    const portMappings = [{ hostPort, containerPort: 80, protocol: "tcp" }];
    const pods = ["a", "b"].map((name) => {
      const { interfaces = [], ips = [] } = runner.add(list, {
        ...{ containerId: `${name}-0a1b2c3d4e5f`, netns: node.addPod(name), ifname: "eth0" },
        args: [
          ["K8S_POD_NAMESPACE", "default"],
          ["K8S_POD_NAME", name],
        ],
        ...(name === "b" && { capabilities: { portMappings } }),
      });
      return { link: interfaces[0]?.name ?? "", ips: ips.map(({ address }) => address.replace(/\/.*/, "")) };
    });
    return new TraceNode(node, pods);
  }

  stop(): void {
    this.node.stop();
  }

  /** The host interface of a pod. */
  link(pod: "A" | "B"): string {
    return this.#variables.match(new RegExp(`${pod}=(\\w+)`))?.[1] ?? "";
  }

  ownAddress(): string {
    return this.node.sh("ip -4 -o address show dev uplink").match(/inet ([\d.]+)/)?.[1] ?? "";
  }

  sh(script: string): string {
    return this.node.sh(this.#variables + script);
  }

  /** Makes the fault, expects its step, and undoes it, if it can by the remedy. */
  async expectFound({ script, undo, to, finds, mends }: Fault): Promise<void> {
    // Programs run synchronously: between faults, the test runner hears of them.
    await setImmediate();
    const target = to === "uplink" ? this.ownAddress() : (to ?? this.addresses[4]);
    this.sh(script);
    try {
      const found = traced(this.node, "a", target);
      expect(wrongHop(found)).toMatch(finds);
      expect(found.conclusion).toMatch(
        new RegExp(`^The (packet|reply) gets no further than step ${(found.firstWrong ?? 0) + 1}:`),
      );
      if (mends) {
        this.node.sh(found.hops[found.firstWrong ?? 0]?.remedy ?? "false");
        expect(wrongHop(traced(this.node, "a", target)), "after the remedy").toBe("");
      }
    } finally {
      this.sh(undo);
    }
    expect(wrongHop(traced(this.node, "a", this.addresses[4])), "after the fault").toBe("");
  }
}

/**
 * A private node with pods for the doctor: one pod, the neighbour, that must not be affected, and others that a test breaks.
 *
 *     const host = await DoctorNode.start();
 *     const pod = host.addPod();
 *     host.node.sh(`ip link set ${pod.hostInterface} down`);
 *     host.expectRepaired("attachment-different", /is down/);
 */
import { expect } from "vitest";
import { type Conflist, loadConflist } from "../conflist.ts";
import { addressOf, Runner, type Sandbox } from "../runtimes/runner.ts";
import { example, pluginDirs } from "../suite.ts";
import { type Doctored, type DoctorOptions, doctor } from "./doctor.ts";
import { Node } from "./netns.ts";
import { diff, snapshot } from "./snapshot.ts";

export interface Pod extends Sandbox {
  readonly name: string;
  readonly hostInterface: string;
  readonly ifb: string;
  readonly address: string;
  readonly record: string;
  readonly hostPort: number;
}

export interface DoctorNodeOptions {
  readonly conflist?: string;
  /** The pod's `bandwidth`. */
  readonly limits?: object;
}

const egressOnly = { egressRate: 1_000_000, egressBurst: 1_000_000 };

export class DoctorNode {
  readonly node: Node;
  readonly runner: Runner;
  readonly list: Conflist;
  readonly #conflist: string;
  readonly neighbour: Pod;
  readonly #neighbourBefore: string;
  readonly #limits: object;
  #pods = 0;

  private constructor(node: Node, conflist: string, limits: object) {
    this.node = node;
    this.#limits = limits;
    this.runner = new Runner({ node, pluginDirs });
    this.#conflist = conflist;
    this.list = loadConflist(conflist);
    this.neighbour = this.addPod();
    this.#neighbourBefore = this.#stateOfNeighbour();
  }

  static async start({
    conflist = example("10-calico.conflist"),
    limits = egressOnly,
  }: DoctorNodeOptions = {}): Promise<DoctorNode> {
    return new DoctorNode(await Node.start(), conflist, limits);
  }

  stop(): Promise<void> {
    return this.node.stop();
  }

  doctor(options: DoctorOptions = {}): Doctored {
    return doctor(this.node, { conflist: this.#conflist, ...options });
  }

  addPod(): Pod {
    const name = `p${this.#pods++}`;
    const hostPort = 8000 + this.#pods;
    const sandbox: Sandbox = {
      containerId: `${name}-0a1b2c`,
      netns: this.node.addPod(name),
      ifname: "eth0",
      args: [
        ["IgnoreUnknown", "1"],
        ["K8S_POD_NAMESPACE", "default"],
        ["K8S_POD_NAME", name],
      ],
      capabilities: {
        portMappings: [{ hostPort, containerPort: 80, protocol: "tcp" }],
        bandwidth: this.#limits,
      },
    };
    const result = this.runner.add(this.list, sandbox);
    const { interfaces = [] } = result;
    return {
      ...sandbox,
      name,
      hostPort,
      hostInterface: interfaces[0]?.name ?? "",
      ifb: interfaces[2]?.name ?? "",
      address: addressOf(result),
      record: `/run/tortie/endpoints/${this.list.name}:${sandbox.containerId}:eth0.json`,
    };
  }

  removePod(pod: Pod): void {
    this.runner.del(this.list, pod);
    this.node.removePod(pod.name);
  }

  /** Removes the sandbox without a DEL, and waits for the kernel to delete the interfaces. */
  losePod({ name, hostInterface }: Pick<Pod, "name" | "hostInterface">): void {
    this.node.removePod(name);
    this.node.sh(
      `for turn in $(seq 500); do ip link show dev ${hostInterface} >&2 || exit 0; sleep 0.01; done; exit 1`,
    );
  }

  /** The neighbour's state on the node and in its sandbox, without the creation time of its record. */
  #stateOfNeighbour(): string {
    const { neighbour, node } = this;
    const own = [neighbour.hostInterface, neighbour.ifb, neighbour.containerId];
    const lines = snapshot(node)
      .split("\n")
      .filter((line) => own.some((word) => line.includes(word)) && !line.startsWith("file "));
    const record = node.sh(`grep -v creationTimestamp ${neighbour.record}`);
    return [...lines, record, snapshot(node, { in: neighbour.name })].join("\n");
  }

  expectNeighbourServed(): void {
    this.runner.check(this.list, this.neighbour);
    expect(diff(this.#neighbourBefore, this.#stateOfNeighbour())).toBe("");
  }

  /** Expects exactly this finding and its repair; afterwards nothing is left, and the neighbour is unchanged. */
  expectRepaired(id: string, text: RegExp): void {
    const { exitCode, findings } = this.doctor();
    expect(findings.map((finding) => finding.id)).toEqual([id]);
    expect(`${findings[0]?.subject} ${findings[0]?.text}`).toMatch(text);
    expect(exitCode).toBe(3);
    expect(this.doctor({ fix: true })).toMatchObject({ exitCode: 0, findings: [] });
    this.expectNeighbourServed();
  }

  /** Removes everything that belongs to no pod. */
  removeLeft(): void {
    expect(this.doctor({ fix: true })).toMatchObject({ exitCode: 0 });
  }
}

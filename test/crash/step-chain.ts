/** Calls a chain of executables with the fault switch of `crash-build.ts` as a runtime does; one of its processes may be faulty. */
import { expect } from "vitest";
import { hostInterfacePrefix } from "../../src/identity/names.ts";
import type { Conflist } from "../lib/conflist.ts";
import { crashPluginDir, switchName } from "../lib/faults/crash-build.ts";
import { type Fault, faultText, type Step } from "../lib/faults/fault.ts";
import { evenly } from "../lib/how-many.ts";
import { leaks } from "../lib/node/kept.ts";
import type { Node } from "../lib/node/netns.ts";
import { diff, snapshot } from "../lib/node/snapshot.ts";
import { ping } from "../lib/node/traffic.ts";
import { addressOf, type CniResult, Runner, requestOf, type Sandbox } from "../lib/runtimes/runner.ts";
import { goPluginDir } from "../lib/suite.ts";
import type { FaultsAt } from "./step-faults.ts";

export type Operation = "ADD" | "DEL" | "GC";
type Calls = ReadonlyMap<string, ReturnType<Runner["tryExec"]>>;

/** One fault of one process, and its description. */
export interface Case {
  readonly member: string;
  readonly fault: Fault;
  readonly text: string;
}

export class StepChain {
  readonly #node: Node;
  readonly #list: Conflist;
  /** The node's state after the first pod, which leaves what all later ones find: pools, a block. */
  readonly #clean: string;
  readonly pod: Sandbox;
  /** The next sandbox of the same pod. */
  readonly next: Sandbox;

  constructor(node: Node, list: Conflist) {
    this.#node = node;
    this.#list = list;
    this.pod = sandboxOf(node, podName);
    this.next = sandboxOf(node, "young");
    this.runner().add(list, this.pod);
    this.runner().del(list, this.pod);
    this.#clean = snapshot(node);
  }

  get members(): readonly string[] {
    return this.#list.plugins.map(({ type }) => type);
  }

  runner(wish?: string): Runner {
    const wrap = wish === undefined ? {} : { wrap: ["/usr/bin/env", `${switchName}=${wish}`] };
    return new Runner({ node: this.#node, pluginDirs: [crashPluginDir, goPluginDir], ...wrap });
  }

  add(sandbox: Sandbox): CniResult {
    return this.runner().add(this.#list, sandbox);
  }

  del(sandbox: Sandbox): void {
    this.runner().del(this.#list, sandbox);
  }

  /** GC of the network without valid attachments. */
  collect(): void {
    this.runner().collect(this.#list, []);
  }

  /** Runs the chain's processes in the order of the operation, the one at `faulty` with the fault `wish`. Ends with the first that fails. */
  operate(operation: Operation, faulty?: string, wish?: string): Calls {
    const calls = new Map<string, ReturnType<Runner["tryExec"]>>();
    let prevResult: CniResult | undefined;
    for (const type of operation === "DEL" ? [...this.members].reverse() : this.members) {
      const plugin = this.#list.plugins.find((one) => one.type === type) as Conflist["plugins"][number];
      const sandbox = operation === "GC" ? { containerId: "", netns: "", ifname: "" } : this.pod;
      const more = operation === "GC" ? { "cni.dev/valid-attachments": [] } : {};
      const request = { ...requestOf(this.#list, plugin, { sandbox, prevResult }), ...more };
      const call = this.runner(type === faulty ? wish : undefined).tryExec(operation, type, request, sandbox);
      calls.set(type, call);
      if (call.status !== 0) break;
      if (operation === "ADD") prevResult = JSON.parse(call.stdout) as CniResult;
    }
    return calls;
  }

  /** The possible faults of these members in an operation: all, or a sample of this size, evenly spread. */
  casesOf(operation: Operation, faulty: readonly string[], faultsAt: FaultsAt, sampleSize: number): readonly Case[] {
    const cases: readonly Case[] = faulty.flatMap((member) => {
      if (operation !== "ADD") this.operate("ADD");
      const steps = JSON.parse(this.operate(operation, member, "trace").get(member)?.stderr ?? "[]") as readonly Step[];
      this.del(this.pod);
      expect(steps.length).toBeGreaterThan(5);
      return steps.flatMap((step, index) =>
        faultsAt(step, index + 1).map((fault) => ({
          member,
          fault,
          text: `${operation} ${member} ${faultText(fault)} ${step.call} ${step.object}`,
        })),
      );
    });
    return evenly(cases, sampleSize);
  }

  mustServe(sandbox: Sandbox, result: CniResult = this.runner().cached(this.#list, sandbox) ?? {}): void {
    this.runner().check(this.#list, sandbox);
    this.mustAnswer(result);
  }

  mustAnswer(result: CniResult): void {
    const address = addressOf(result);
    if (!ping(this.#node, undefined, address)) throw new Error(`${address} does not answer`);
  }

  /** Removes the pod's sandbox without the runtime's knowledge, and waits for the kernel to delete the interfaces. */
  losePod(): void {
    const links = this.#hostInterfaces().join(" ");
    this.#node.removePod(podName);
    this.#node.sh(`for link in ${links}; do
      for turn in $(seq 500); do ip link show dev $link >/dev/null 2>&1 || break; sleep 0.01; done; done`);
  }

  /** A new sandbox in the same place. */
  givePodBack(): void {
    this.#node.addPod(podName);
  }

  mustBeClean(): void {
    const left = this.leftovers();
    if (left.length > 0) throw new Error(left.join(" | "));
  }

  /** What differs from the state before the first step. */
  leftovers(): readonly string[] {
    const left = [...leaks(diff(this.#clean, snapshot(this.#node)))];
    const taken = this.#node.sh(
      `cat /run/tortie/ipam/blocks/*.json | tr -d ' \\n' | grep -o '"allocations":[^]]*' || true`,
    );
    if (/\d/.test(taken)) left.push(`an address is not free: ${taken.match(/.{0,3}\d.{0,3}/)?.[0]}`);
    return left;
  }

  /** Without the node's own uplink, which is a veth too and stays. */
  #hostInterfaces(): readonly string[] {
    const links = JSON.parse(this.#node.sh("ip -j link show type veth")) as readonly { readonly ifname: string }[];
    return links.map(({ ifname }) => ifname).filter((name) => name.startsWith(hostInterfacePrefix));
  }
}

const podName = "old";

function sandboxOf(node: Node, name: string): Sandbox {
  return {
    containerId: `${name}-0a1b2c`,
    netns: node.addPod(name),
    ifname: "eth0",
    args: [
      ["K8S_POD_NAMESPACE", "default"],
      ["K8S_POD_NAME", "web-0"],
    ],
    capabilities: {
      portMappings: [
        { hostPort: 8080, containerPort: 80, protocol: "tcp" },
        { hostPort: 8080, containerPort: 53, protocol: "udp" },
      ],
      bandwidth: { ingressRate: 20e6, ingressBurst: 1e6, egressRate: 20e6, egressBurst: 1e6 },
    },
  };
}

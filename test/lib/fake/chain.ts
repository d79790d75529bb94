/** Calls the chain calico, bandwidth, portmap on a node of the model as a runtime does, optionally with faults in one of its processes. */

import { descriptors, type PluginName } from "#plugins/descriptors";
import type { Role } from "../../../src/plugin/descriptor.ts";
import type { Fault, Step } from "../faults/fault.ts";
import { type Answer, type Call, FakeNode } from "./node.ts";

export type Member = PluginName;

const namesOf = (role: Role): readonly Member[] =>
  descriptors.filter((one) => one.role === role).map(({ name }) => name);

export const mainPlugins = namesOf("main");

/** A main plugin, followed by all chained plugins. */
function chainOf(main: Member): readonly Member[] {
  return [main, ...namesOf("chained")];
}
export type Command = "ADD" | "CHECK" | "DEL" | "GC" | "STATUS";

/** The faults, and the process of the chain that they apply to. */
export interface ChainFault {
  readonly member: Member;
  readonly faults: readonly Fault[];
}

export interface Pod {
  /** Name of the container and the sandbox. */
  readonly name: string;
  /** Name of the pod in Kubernetes; two sandboxes of one pod have the same. */
  readonly pod: string;
  readonly hostPort: number;
  /** The fixed addresses that it requests, separated by commas. */
  readonly fixed?: string;
}

export interface Outcome {
  /** The process that failed or was killed. */
  readonly failed: Member | undefined;
  readonly killed: boolean;
  /** Output of the last process that answered. */
  // biome-ignore lint/suspicious/noExplicitAny: JSON of any shape, which the tests inspect.
  readonly json: any;
  /** The steps of each process that ran. */
  readonly steps: ReadonlyMap<Member, readonly Step[]>;
}

/** Operations without a pod, such as GC, still need a name. */
const noPod: Pod = { name: "none", pod: "none", hostPort: 1 };

const limits = { ingressRate: 1e6, ingressBurst: 1e6, egressRate: 2e6, egressBurst: 1e6 };

/** What main plugins other than `calico` need from the IPAM plugin. */
const gateways = ["192.168.0.1", "fd00::1"];
const byGateway: Readonly<Partial<Record<Member, object>>> = Object.fromEntries(
  namesOf("main").flatMap((name) =>
    name === "calico" ? [] : [[name, { gateways, routes: [{ dst: "0.0.0.0/0" }, { dst: "::/0" }] }]],
  ),
);

/** The pools that contain the addresses of `fixed`. */
const fixedPools = { ipv4_pools: ["10.65.0.0/24"], ipv6_pools: ["fd65::/64"] };

/** Both families, limits both ways, and host ports of every kind. */
function confOf(member: Member, { hostPort, fixed }: Pod): object {
  const { role, capabilities } = descriptors.find(({ name }) => name === member) as (typeof descriptors)[number];
  if (role === "main") {
    const ipam = { type: "calico-ipam", assign_ipv6: "true", ...byGateway[member], ...(fixed && fixedPools) };
    return { ipMasq: true, ipam };
  }
  const portMappings = [
    { hostPort, containerPort: 80, protocol: "tcp" },
    { hostPort, containerPort: 53, protocol: "udp" },
    { hostPort: hostPort + 1, containerPort: 443, protocol: "tcp", hostIP: "192.0.2.1" },
  ];
  const asked: Readonly<Record<string, unknown>> = { portMappings, bandwidth: limits };
  return { runtimeConfig: Object.fromEntries(capabilities.map(({ name }) => [name, asked[name]])) };
}

export class FakeChain {
  readonly node = new FakeNode();
  /** The final result of each pod. */
  readonly results = new Map<string, unknown>();

  readonly #ifname: string;
  readonly #chain: readonly Member[];

  constructor(pods: readonly Pod[], ifname = "eth0", main: Member = "calico") {
    this.#ifname = ifname;
    this.#chain = chainOf(main);
    for (const { name } of pods) this.node.sandbox(name);
  }

  /** Stops at the first failure, and calls no DEL then. */
  add(pod: Pod, trouble?: ChainFault): Outcome {
    let prevResult: unknown;
    const outcome = this.#each("ADD", this.#chain, pod, trouble, (answer) => {
      prevResult = answer.json;
      return { prevResult };
    });
    if (outcome.failed === undefined) this.results.set(pod.name, outcome.json);
    return outcome;
  }

  /** Needs the result of a successful ADD. */
  check(pod: Pod, trouble?: ChainFault): Outcome {
    return this.#each("CHECK", this.#chain, pod, trouble, () => ({ prevResult: this.results.get(pod.name) }));
  }

  /** Stops at the first failure. */
  del(pod: Pod, trouble?: ChainFault): Outcome {
    const outcome = this.#each("DEL", [...this.#chain].reverse(), pod, trouble, () => ({}));
    if (outcome.failed === undefined) this.results.delete(pod.name);
    return outcome;
  }

  status(trouble?: ChainFault): Outcome {
    return this.#each("STATUS", this.#chain, noPod, trouble, () => ({}));
  }

  /** Continues after a failure and reports the first one. */
  gc(valid: readonly Pod[], trouble?: ChainFault): Outcome {
    const attachments = valid.map(({ name }) => ({ containerID: name, ifname: this.#ifname }));
    const outcomes = this.#chain.map((member) =>
      this.#each("GC", [member], noPod, trouble, () => ({ "cni.dev/valid-attachments": attachments })),
    );
    const steps = new Map(outcomes.flatMap((outcome) => [...outcome.steps]));
    return { ...(outcomes.find(({ failed }) => failed !== undefined) ?? (outcomes[0] as Outcome)), steps };
  }

  state(): string {
    return this.node.state();
  }

  #each(
    command: Command,
    members: readonly Member[],
    pod: Pod,
    trouble: ChainFault | undefined,
    more: (answer: Partial<Answer>) => object,
  ): Outcome {
    const steps = new Map<Member, readonly Step[]>();
    let answer: Partial<Answer> = {};
    for (const member of members) {
      const call: Call = {
        plugin: member,
        container: pod.name,
        ifname: this.#ifname,
        args: `K8S_POD_NAMESPACE=default;K8S_POD_NAME=${pod.pod}${pod.fixed === undefined ? "" : `;IP=${pod.fixed}`}`,
        conf: { ...confOf(member, pod), ...more(answer) },
        faults: trouble?.member === member ? trouble.faults : [],
      };
      const done = this.node.run(command, call);
      answer = done;
      steps.set(member, done.steps);
      if (done.killed || done.status !== 0) return { failed: member, killed: done.killed, json: done.json, steps };
    }
    return { failed: undefined, killed: false, json: answer.json, steps };
  }
}

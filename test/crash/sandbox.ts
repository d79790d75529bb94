/** Sandboxes as containerd describes them, with a host port and limits. */
import type { Node } from "../lib/node/netns.ts";
import type { Sandbox } from "../lib/runtimes/runner.ts";
import { containerd } from "../lib/runtimes/runtimes.ts";

export interface PodSandbox extends Sandbox {
  /** The name of its network namespace. */
  readonly pod: string;
}

/** Creates a namespace for the pod `name`; the values that are unique to this sandbox (container, namespace, host port) are derived from `count`. */
export function webSandbox(node: Node, count: number, name = "web"): PodSandbox {
  const pod = `pod${count}`;
  return { ...described(pod, count, name), netns: node.addPod(pod) };
}

/** The same for a namespace that exists, or will be created. */
export function described(pod: string, count: number, name: string): PodSandbox {
  const containerId = `pod${count}-5707a1`;
  const ports = [{ hostPort: 10_000 + (count % 20_000), containerPort: 80, protocol: "tcp" }];
  const requests = { namespace: "default", name, containerId, ports, ingressRate: 20e6, egressRate: 20e6 };
  return { pod, containerId, netns: `/run/netns/${pod}`, ifname: "eth0", ...containerd(requests) };
}

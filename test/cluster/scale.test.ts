/**
 * An agent of a large cluster: 1,000 nodes, 2,000 blocks, 30,000 pods. It holds what its own node needs, and not the cluster.
 *
 * The objects are written into etcd directly, below the API server too. There its own node has 300 pods more, each as long as those of large applications.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { newAffinity } from "../../src/ipam/model/affinity.ts";
import { assign, newBlock, withSpec } from "../../src/ipam/model/block.ts";
import { newHandle } from "../../src/ipam/model/handle.ts";
import { pathOf } from "../../src/store/etcd/paths.ts";
import { encodeValue } from "../../src/store/etcd/values.ts";
import { stringifyJson } from "../../src/store/json.ts";
import { keyOf } from "../../src/store/key.ts";
import { encodeObject } from "../../src/store/kubernetes/objects.ts";
import { resourceName, resourceOf } from "../../src/store/kubernetes/resources.ts";
import type { StoredObject } from "../../src/store/object.ts";
import { Agent } from "../lib/cluster/agent.ts";
import { buildTimeoutMs } from "../lib/cluster/kubernetes-build.ts";
import { cpuSecondsOf, memoryMiBOf } from "../lib/cluster/process-usage.ts";
import { type ClusterSite, clusterSites } from "../lib/cluster/site.ts";
import { isMany } from "../lib/how-many.ts";
import { Node } from "../lib/node/netns.ts";

/** A tenth of it where only some cases are run. */
const nodeCount = isMany ? 1000 : 100;
const blocksPerNode = 2;
const podsPerBlock = 15;
/** Of the agent's own node, in Kubernetes: more than a kubelet takes. */
const longPods = 300;
const longText = "x".repeat(8000);
/** At any time. */
const maxMiB = 150;
/** Of one core. */
const maxIdlePercent = 1;

const nodeOf = (index: number) => `node-${index}`;

function* objects(): Iterable<StoredObject> {
  for (let node = 0; node < nodeCount; node++) {
    for (let at = 0; at < blocksPerNode; at++) {
      const index = node * blocksPerNode + at;
      const cidr = `10.${64 + (index >> 10)}.${(index >> 2) & 255}.${(index & 3) * 64}/26`;
      let block = newBlock(cidr, `host:${nodeOf(node)}`, 1_700_000_000_000_000_000n);
      for (let pod = 0; pod < podsPerBlock; pod++) {
        const name = `pod-${index}-${pod}`;
        const handleId = `k8s-pod-network.${name.padStart(64, "0")}`;
        const secondary = {
          ...{ interface: "eth0", namespace: "default", node: nodeOf(node), pod: name },
          timestamp: "2026-11-28 01:00:00.123456789 +0000 UTC",
        };
        block = withSpec(block, assign(block.spec, 1, { handle_id: handleId, secondary }, () => false).spec);
        yield newHandle(handleId, { [cidr]: 1 });
        yield endpoint(name, nodeOf(node), handleId);
      }
      yield block;
      yield newAffinity(nodeOf(node), cidr, "confirmed");
    }
    if (node > 0)
      yield { apiVersion: "projectcalico.org/v3", kind: "Node", metadata: { name: nodeOf(node) }, spec: {} };
  }
}

function endpoint(pod: string, node: string, containerID: string): StoredObject {
  const name = `${node}-k8s-${pod}-eth0`;
  return {
    ...{ apiVersion: "projectcalico.org/v3", kind: "WorkloadEndpoint", metadata: { name, namespace: "default" } },
    spec: { orchestrator: "k8s", node, pod, endpoint: "eth0", containerID, ipNetworks: [], profiles: ["kns.default"] },
  } as StoredObject;
}

describe.each(clusterSites)("an agent of a large cluster on %s", (name, whyNot, open) => {
  describe.skipIf(whyNot !== undefined)(whyNot ?? name, () => {
    let site: ClusterSite;
    let node: Node;
    let agent: Agent;

    beforeAll(async () => {
      site = await open();
      node = await Node.start("large");
      const entries: [string, string][] = [];
      for (const object of objects()) {
        const entry = name === "etcd" ? ofEtcd(object) : ofKubernetes(object);
        if (entry !== undefined) entries.push(entry);
      }
      if (name !== "etcd")
        for (let at = 0; at < longPods; at++) entries.push(podEntry(`long-${at}`, nodeOf(0), "", longText));
      await site.etcd.putAll(entries);
      if (name !== "etcd") for (let at = 0; at < nodeCount; at++) await site.addNode(nodeOf(at));
    }, buildTimeoutMs);
    afterAll(async () => {
      await agent?.stop();
      await node?.stop();
      await site?.stop();
    });

    test(`of ${nodeCount} nodes has a bounded memory, and does nothing when nothing happens`, async () => {
      const start = performance.now();
      agent = await Agent.start(node, {
        ...{ ...site.environment, NODENAME: nodeOf(0), IP: "203.0.113.1/24", FELIX_IPV6SUPPORT: "false" },
        ...{ CALICO_IPV4POOL_CIDR: "10.64.0.0/10", TORTIE_LEAK_GRACE_PERIOD: "8" },
      });
      const readySeconds = (performance.now() - start) / 1000;
      if (name !== "etcd") {
        const pod = { namespace: "default", name: `long-${longPods - 1}` };
        expect(await agent.ask({ op: "pod", nodename: nodeOf(0), pod })).toHaveProperty("result");
      }
      // Several looks for leaks, of which the elected one's goes over the whole datastore.
      await sleep(20_000);
      const peak = memoryMiBOf(agent.pid, "VmHWM");
      const resident = memoryMiBOf(agent.pid, "VmRSS");
      await agent.stop();
      agent = await Agent.start(node, {
        ...{ ...site.environment, NODENAME: nodeOf(0), IP: "203.0.113.1/24", FELIX_IPV6SUPPORT: "false" },
      });
      // A new watch of blocks lists those of all nodes, on a slow server for seconds.
      await sleep(10_000);
      let cpu = await idlePercent(agent.pid);
      // From time to time the elected agent looks for leaks over the whole datastore: a second of CPU, which is not what it needs when idle.
      for (let turn = 1; turn < 3 && cpu >= maxIdlePercent; turn++) cpu = await idlePercent(agent.pid);
      console.log(
        `${name}, ${nodeCount} nodes: ready after ${readySeconds.toFixed(1)} s, resident ${resident} MiB, at most ${peak} MiB, idle ${cpu.toFixed(2)} % CPU`,
      );
      expect(agent.lines.filter(({ msg }) => msg === "leaked addresses released")).toEqual([]);
      expect(peak).toBeLessThanOrEqual(maxMiB);
      expect(cpu).toBeLessThan(maxIdlePercent);
    });
  });
});

/** Of one core, for 20 seconds. */
async function idlePercent(pid: number): Promise<number> {
  const before = cpuSecondsOf(pid);
  await sleep(20_000);
  return (100 * (cpuSecondsOf(pid) - before)) / 20;
}

function ofEtcd(object: StoredObject): [string, string] | undefined {
  const key = object.kind === "Node" ? ({ kind: "Node", name: object.metadata.name } as const) : keyOf(object);
  const path = pathOf(key);
  return path === undefined ? undefined : [path, encodeValue(key, object, new Date(0))];
}

/** As the API server stores custom resources. */
function ofKubernetes(object: StoredObject): [string, string] | undefined {
  if (object.kind === "Node") return undefined;
  if (object.kind === "WorkloadEndpoint") {
    const { pod, node, containerID } = object.spec as Readonly<Record<"pod" | "node" | "containerID", string>>;
    return podEntry(pod, node, containerID, "");
  }
  const key = keyOf(object);
  const raw = encodeObject(key, object, "crd.projectcalico.org/v1");
  const { path } = resourceOf(key.kind, "crd.projectcalico.org/v1");
  const metadata = { ...raw.metadata, ...nextIdentity(), generation: 1 };
  return [
    `/registry/crd.projectcalico.org/${path.slice(path.lastIndexOf("/") + 1)}/${resourceName(key)}`,
    stringifyJson({ ...raw, metadata }),
  ];
}

/** A pod as the API server reads it from etcd. */
function podEntry(name: string, nodeName: string, containerID: string, description: string): [string, string] {
  const annotations = {
    ...{ "example.com/description": description, "cni.projectcalico.org/podIP": "" },
    ...(containerID !== "" && { "cni.projectcalico.org/containerID": containerID }),
  };
  const pod = {
    ...{ apiVersion: "v1", kind: "Pod" },
    metadata: { name, namespace: "default", ...nextIdentity(), labels: { app: name }, annotations },
    spec: { nodeName, containers: [{ name: "c", image: "i", ports: [{ name: "http", containerPort: 80 }] }] },
    status: { phase: "Running" },
  };
  return [`/registry/pods/default/${name}`, JSON.stringify(pod)];
}

function nextIdentity() {
  const uid = `00000000-0000-4000-8000-${(ids++).toString(16).padStart(12, "0")}`;
  return { uid, creationTimestamp: "2026-11-28T01:00:00Z" };
}

let ids = 1;

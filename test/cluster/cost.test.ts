/**
 * What pods cost at the datastore's server, by its own count: 100 ADDs at once need no read of a pod and at most 2.2 writes each. The times are printed, and
 * not asserted; also the CPU time, which says what bounds them on a machine of few cores.
 */

import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { attributesOf } from "../../src/ipam/model/attributes.ts";
import { type BlockSpec, newBlock, withSpec } from "../../src/ipam/model/block.ts";
import { newHandle } from "../../src/ipam/model/handle.ts";
import { openClusterDatastore } from "../../src/store/cluster/open.ts";
import { readSettings } from "../../src/store/cluster/settings.ts";
import type { StoredObject } from "../../src/store/object.ts";
import { create, update } from "../../src/store/transaction.ts";
import { Agent } from "../lib/cluster/agent.ts";
import { buildTimeoutMs } from "../lib/cluster/kubernetes-build.ts";
import { cpuSecondsOf } from "../lib/cluster/process-usage.ts";
import { type ClusterSite, clusterSites, type RequestCounts } from "../lib/cluster/site.ts";
import { Node, systemPath } from "../lib/node/netns.ts";
import { ourPluginDir } from "../lib/suite.ts";

const nodeName = "node-a";
const podCount = 100;

describe.each(clusterSites)("the cost of pods on %s", (name, whyNot, open) => {
  describe.skipIf(whyNot !== undefined)(whyNot ?? name, () => {
    let site: ClusterSite;
    let node: Node;
    let agent: Agent;
    /** By the name of the pod. */
    const uids = new Map<string, string>();

    beforeAll(async () => {
      site = await open();
      node = await Node.start(nodeName);
      await site.addNode(nodeName);
      agent = await Agent.start(node, {
        ...{
          ...site.environment,
          NODENAME: nodeName,
          IP: "203.0.113.1/24",
          FELIX_IPV6SUPPORT: "false",
        },
        CALICO_IPV4POOL_CIDR: "10.244.0.0/16",
      });
    }, buildTimeoutMs);
    afterAll(async () => {
      await agent?.stop();
      await node?.stop();
      await site?.stop();
    });

    async function counted(body: () => Promise<void>): Promise<Cost> {
      const before = await site.counts();
      const [start, agentStart] = [performance.now(), cpuSecondsOf(agent.pid)];
      await body();
      const seconds = (performance.now() - start) / 1000;
      const agentSeconds = cpuSecondsOf(agent.pid) - agentStart;
      const after = await site.counts();
      return {
        reads: after.reads - before.reads,
        writes: after.writes - before.writes,
        cpuSeconds: after.cpuSeconds - before.cpuSeconds,
        ...{ seconds, agentSeconds },
      };
    }

    const messageOf = (pod: string) => ({
      nodename: nodeName,
      attachment: { network: "net", containerID: `id-${pod}`, ifname: "eth0" },
      pod: { namespace: "default", name: pod },
    });

    /** What the plugins of an ADD ask the agent for. */
    async function ask(pod: string): Promise<void> {
      const message = messageOf(pod);
      const replies = [];
      if (name === "Kubernetes") {
        const asked = { op: "pod", nodename: nodeName, pod: message.pod, uid: uids.get(pod) } as const;
        replies.push(await agent.ask(asked));
      }
      const wanted = [{ family: 4, pools: [] }] as const;
      const request = { ...message, wanted, addresses: [], reserved: [], confirmsLater: true };
      const assigned = await agent.ask({ op: "assign", ...request });
      replies.push(assigned);
      const { addresses = [], isUnconfirmed = false } = "result" in assigned ? assigned.result : {};
      const confirms = isUnconfirmed ? addresses.map(({ address }) => address) : undefined;
      const networks = addresses.map(({ address }) => `${address}/32`);
      const facts = { hostInterface: "cali0", mac: "ee:ee:ee:ee:ee:ee", profiles: [] };
      replies.push(await agent.ask({ op: "put-endpoint", ...message, ...facts, addresses: networks, confirms }));
      for (const reply of replies) expect(reply).toHaveProperty("result");
    }

    async function release(pod: string): Promise<void> {
      await agent.ask({ op: "delete-endpoint", ...messageOf(pod) });
      await agent.ask({ op: "release", ...messageOf(pod) });
    }

    const podsOf = (prefix: string) => Array.from({ length: podCount }, (_, index) => `${prefix}${index}`);

    async function addPods(pods: readonly string[]): Promise<void> {
      for (const pod of pods) uids.set(pod, (await site.addPod(pod, nodeName)) ?? "");
    }

    function judge(
      { reads, writes, seconds, cpuSeconds, agentSeconds }: Cost,
      what: string,
      most = { reads: 0.1, writes: 2.2 },
    ): void {
      const each = (total: number) => ((1000 * total) / podCount).toFixed(1);
      console.log(
        `${name}: ${what}: ${(podCount / seconds).toFixed(0)} pods/s, for each ${reads / podCount} reads and ${writes / podCount} writes; ` +
          `${each(seconds)} ms, of CPU time ${each(agentSeconds)} ms by the agent and ${each(cpuSeconds)} ms by the datastore`,
      );
      // None for a pod that the agent knows; it asks every two seconds whether the datastore answers, and a new block takes a few reads.
      expect(reads).toBeLessThanOrEqual(most.reads * podCount + Math.ceil(seconds));
      expect(writes).toBeLessThanOrEqual(most.writes * podCount);
    }

    test("100 at once, without the plugins' own work", async () => {
      await addPods(["warm", ...podsOf("a")]);
      await ask("warm");
      await sleep(200);
      judge(await counted(async () => void (await Promise.all(podsOf("a").map(ask)))), "agent alone");
      // The watch reports what the ADDs recorded.
      await sleep(500);
      // The API deletes a handle in two steps; in etcd an endpoint is read before it is deleted.
      const released = await counted(async () => void (await Promise.all(podsOf("a").map(release))));
      judge(released, "their DELs", { reads: name === "etcd" ? 1.1 : 0.1, writes: 3.2 });
    });

    test("one after another, beside two writes of the same datastore", async () => {
      const datastore = await openClusterDatastore(readSettings(site.environment));
      const pods = podsOf("b");
      await addPods(pods);
      const [own, two, needed] = [[] as number[], [] as number[], [] as number[]];
      let block: StoredObject | undefined = await datastore.transact(() => create(halfFullBlock()));
      for (const pod of pods) {
        own.push(await timed(() => ask(pod)));
        two.push(
          await timed(async () => {
            const handle = await datastore.transact(() => create(newHandle(`net.x-${pod}`, { "10.244.0.0/26": 1 })));
            const spec = { handleID: `net.x-${pod}`, block: { "10.244.0.0/26": 2 }, deleted: false };
            if (handle !== undefined) await datastore.transact(() => update({ ...handle, spec }));
          }),
        );
        needed.push(
          await timed(async () => {
            await datastore.transact(() => create(newHandle(`net.y-${pod}`, { [otherCidr]: 1 })));
            const spec = { ...(block?.spec as BlockSpec), affinityClaimTime: new Date().toISOString() };
            block = block && (await datastore.transact(() => update({ ...(block as StoredObject), spec })));
          }),
        );
      }
      datastore.close();
      console.log(
        `${name}: one ADD of the agent ${median(own)} ms, two writes of a handle ${median(two)} ms, ` +
          `a handle and a block of 32 addresses ${median(needed)} ms (medians of ${podCount})`,
      );
      await Promise.all(pods.map(release));
    });

    /** What the script prints. */
    async function runPlugins(script: string, pods: readonly string[]): Promise<string> {
      const plugin = { type: "calico", ...site.netConf, ipam: { type: "calico-ipam" } };
      const options = {
        stdin: JSON.stringify({ name: "net", cniVersion: "1.0.0", ...plugin }),
        env: {
          PATH: systemPath,
          CNI_PATH: ourPluginDir,
          PODS: pods.map((pod) => `${pod}:${uids.get(pod)}`).join(" "),
        },
      };
      const { status, stdout, stderr } = await node.runBeside(["/bin/bash", "--norc", "-ec", script], options);
      expect(`${status} ${stderr}`).toBe("0 ");
      return stdout;
    }

    async function addSandboxes(pods: readonly string[]): Promise<void> {
      await addPods(pods);
      node.sh(pods.map((pod) => `ip netns add ${pod}`).join("\n"));
    }

    test("plugins one after another", async () => {
      const pods = podsOf("d");
      await addSandboxes(pods);
      const microseconds = (await runPlugins(addEach, pods)).trim().split("\n").map(Number);
      expect(microseconds).toHaveLength(podCount);
      console.log(`${name}: one ADD of the plugins ${median(microseconds.map((each) => each / 1000))} ms`);
    });

    test("100 plugins at once", async () => {
      const pods = podsOf("c");
      await addSandboxes(pods);
      let times = "";
      const cost = await counted(async () => {
        times = await runPlugins(addAll, pods);
      });
      judge(cost, "with the plugins");
      console.log(
        `${name}: CPU time of the shell that runs ${podCount} plugins, and of the plugins: ${times.trim().replace("\n", ", ")}`,
      );
    });
  });
});

const otherCidr = "10.245.0.0/26";

/** As large as those that pods are written to. */
function halfFullBlock(): StoredObject {
  const empty = newBlock(otherCidr, "host:node-b", 1n);
  const used = 32;
  return withSpec(empty, {
    ...empty.spec,
    allocations: empty.spec.allocations.map((_, ordinal) => (ordinal < used ? ordinal : null)),
    unallocated: empty.spec.unallocated.slice(used),
    attributes: Array.from({ length: used }, (_, index) => ({
      handle_id: `net.id-b${index}`,
      secondary: attributesOf(
        { node: "node-b", ifname: "eth0", pod: { namespace: "default", name: `b${index}` } },
        { seconds: 1_700_000_000, nanoseconds: 5 },
      ),
    })),
  });
}

interface Cost extends RequestCounts {
  readonly seconds: number;
  readonly agentSeconds: number;
}

/** Runtimes that cost little: Node takes several milliseconds to start a process. */
const addOne = `
  add() {
    local pod=\${1%%:*}
    CNI_COMMAND=ADD CNI_CONTAINERID=id-$pod CNI_IFNAME=eth0 CNI_NETNS=/run/netns/$pod \\
      CNI_ARGS="K8S_POD_NAMESPACE=default;K8S_POD_NAME=$pod;K8S_POD_UID=\${1#*:}" $CNI_PATH/calico <<<"$conf" >/run/$pod.result
  }
  conf=$(cat)`;
const addAll = `${addOne}
  for named in $PODS; do
    add $named &
    added+=($!)
  done
  for one in "\${added[@]}"; do wait $one; done
  times`;
/** Prints the microseconds of each. */
const addEach = `${addOne}
  for named in $PODS; do
    start=\${EPOCHREALTIME/./}
    add $named
    echo $(( \${EPOCHREALTIME/./} - start ))
  done`;

async function timed(body: () => Promise<void>): Promise<number> {
  const start = performance.now();
  await body();
  return performance.now() - start;
}

function median(values: readonly number[]): string {
  return ([...values].sort((one, other) => one - other)[values.length >> 1] ?? Number.NaN).toFixed(1);
}

/**
 * Leaks: a node reboots or leaves for good, and no runtime asks for a release. Real plugins and agents, with a grace period of seconds.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { BlockSpec } from "../../src/ipam/model/block.ts";
import { isCooldown } from "../../src/ipam/model/block.ts";
import type { AsyncDatastore } from "../../src/store/async-datastore.ts";
import { openClusterDatastore } from "../../src/store/cluster/open.ts";
import { readSettings } from "../../src/store/cluster/settings.ts";
import type { Kind } from "../../src/store/object.ts";
import { driveAsync, list } from "../../src/store/transaction.ts";
import { Agent } from "../lib/cluster/agent.ts";
import { freePort } from "../lib/cluster/etcd.ts";
import { buildTimeoutMs } from "../lib/cluster/kubernetes-build.ts";
import { type ClusterSite, clusterSites } from "../lib/cluster/site.ts";
import { parseConflist } from "../lib/conflist.ts";
import { Node } from "../lib/node/netns.ts";
import { Runner } from "../lib/runtimes/runner.ts";
import { pluginDirs } from "../lib/suite.ts";

const names = ["node-a", "node-b"] as const;
const graceSeconds = 2;
const waitMs = 30_000;

describe.each(clusterSites)("leaks on %s", (name, whyNot, open) => {
  describe.skipIf(whyNot !== undefined)(whyNot ?? name, () => {
    let site: ClusterSite;
    let nodes: readonly Node[];
    let runners: readonly Runner[];
    let agents: Agent[];
    let ports: readonly number[];
    let datastore: AsyncDatastore;

    beforeAll(async () => {
      site = await open();
      datastore = await openClusterDatastore(readSettings(site.environment));
      nodes = await Promise.all(names.map((node) => Node.start(node)));
      runners = nodes.map((node) => new Runner({ node, pluginDirs }));
      ports = [await freePort(), await freePort()];
      for (const node of names) await site.addNode(node);
      agents = [];
      for (const index of [0, 1]) agents.push(await begin(index));
    }, buildTimeoutMs);
    afterAll(async () => {
      await Promise.all((agents ?? []).map((agent) => agent.stop()));
      await Promise.all((nodes ?? []).map((node) => node.stop()));
      datastore?.close();
      await site?.stop();
    });

    function begin(index: number): Promise<Agent> {
      return Agent.start(nodes[index] as Node, {
        ...{ ...site.environment, NODENAME: names[index] ?? "", IP: `203.0.113.${index + 1}/24` },
        ...{ CALICO_IPV4POOL_CIDR: "10.244.0.0/24", CALICO_IPV4POOL_BLOCK_SIZE: "29", FELIX_IPV6SUPPORT: "false" },
        ...{ TORTIE_LEAK_GRACE_PERIOD: String(graceSeconds), FELIX_PROMETHEUSMETRICSENABLED: "true" },
        ...{ FELIX_PROMETHEUSMETRICSHOST: "127.0.0.1", FELIX_PROMETHEUSMETRICSPORT: String(ports[index]) },
      });
    }

    const conflist = () =>
      parseConflist(
        JSON.stringify({
          ...{ name: "net", cniVersion: "1.0.0" },
          plugins: [{ type: "calico", ...site.netConf, ipam: { type: "calico-ipam" } }],
        }),
      );

    async function add(index: number, pod: string): Promise<void> {
      nodes[index]?.addPod(pod);
      await site.addPod(pod, names[index] ?? "");
      runners[index]?.add(conflist(), sandboxOf(pod));
    }

    const sandboxOf = (pod: string) =>
      ({
        ...{ containerId: `id-${pod}`, netns: `/run/netns/${pod}`, ifname: "eth0" },
        args: [
          ["K8S_POD_NAMESPACE", "default"],
          ["K8S_POD_NAME", pod],
        ],
      }) as const;

    const all = <Spec>(kind: Kind) =>
      driveAsync(list(kind), datastore.store).then((found) => found.map(({ spec }) => spec as Spec));

    async function held(): Promise<readonly string[]> {
      const blocks = await all<BlockSpec>("IPAMBlock");
      const attributes = blocks.flatMap(({ allocations, attributes: known }) =>
        allocations.flatMap((index) => (index === null ? [] : [known[index] as { readonly handle_id?: string }])),
      );
      return attributes
        .filter((one) => !isCooldown(one))
        .map(({ handle_id }) => String(handle_id))
        .sort();
    }

    test("a rebooted node's addresses are free after the grace period, but not those of what lives", async () => {
      for (const pod of ["a1", "a2", "a3"]) await add(0, pod);
      for (const pod of ["b1", "b2"]) await add(1, pod);
      expect(await held()).toEqual(["a1", "a2", "a3", "b1", "b2"].map((pod) => `net.id-${pod}`));
      // As a reboot does, except for one pod, which lives on.
      nodes[0]?.sh("cd /run/tortie; rm -f endpoints/net:id-a[12]:* parts/net:id-a[12]:*");
      for (const pod of ["a1", "a2"]) {
        nodes[0]?.removePod(pod);
        await site.removePod(pod);
      }
      await expect.poll(held, { timeout: waitMs }).toEqual(["a3", "b1", "b2"].map((pod) => `net.id-${pod}`));
      await expect.poll(() => all("IPAMHandle"), { timeout: waitMs }).toHaveLength(3);
      expect(agents[0]?.lines.filter(({ msg }) => msg === "leaked addresses released")).toHaveLength(2);
      const metrics = await (await fetch(`http://127.0.0.1:${ports[0]}/metrics`)).text();
      expect(metrics).toContain('ipam_allocations_gc_reclamations{ippool="default-ipv4-ippool",node="node-a"} 2');
      expect(metrics).toContain('ipam_allocations_in_use{ippool="default-ipv4-ippool",node="node-a"} 1');
    });

    test("a node that is gone leaves nothing, and the other keeps everything", async () => {
      await agents[1]?.kill();
      agents = agents.slice(0, 1);
      for (const pod of ["b1", "b2"]) await site.removePod(pod);
      await site.removeNode("node-b");
      await expect.poll(held, { timeout: waitMs }).toEqual(["net.id-a3"]);
      const owners = async () => (await all<{ readonly node: string }>("BlockAffinity")).map(({ node }) => node);
      await expect.poll(owners, { timeout: waitMs }).toEqual(["node-a"]);
      expect((await all<BlockSpec>("IPAMBlock")).map(({ affinity }) => affinity)).toEqual(["host:node-a"]);
      await expect.poll(() => all("IPAMHandle"), { timeout: waitMs }).toHaveLength(1);
    });

    test("a node whose agent runs is recorded again when somebody deletes it from etcd", async () => {
      if (name !== "etcd") return;
      await site.removeNode("node-a");
      const count = async () => (await all("Node")).length;
      await expect.poll(count, { timeout: waitMs }).toBe(1);
      expect(await held()).toEqual(["net.id-a3"]);
    });

    test("a node that reboots and gets no pod leaves nothing", async () => {
      await agents[0]?.stop();
      nodes[0]?.removePod("a3");
      await site.removePod("a3");
      nodes[0]?.sh("rm -r /run/tortie/endpoints /run/tortie/parts; echo another-boot > /var/lib/tortie/records-seen");
      agents = [await begin(0)];
      await expect.poll(held, { timeout: waitMs }).toEqual([]);
    });
  });
});

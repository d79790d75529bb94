/**
 * A node that the datastore does not answer for a while (TORTIE_OUTAGE, seconds): packets of its pods go on, its routes stay, a route that another program deletes
 * comes back, and what changed meanwhile is known soon after.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { contains } from "../../src/net/prefix.ts";
import { etcdIsMissing } from "../lib/cluster/etcd.ts";
import { EtcdFabric, vxlanSettings } from "../lib/cluster/etcd-fabric.ts";
import type { Fabric, FabricNode } from "../lib/cluster/fabric.ts";
import { addFabricPod, threePlaces } from "../lib/cluster/fabric-pods.ts";
import { buildTimeoutMs, kubeApiserverIsMissing } from "../lib/cluster/kubernetes-build.ts";
import { MixedCluster } from "../lib/cluster/mixed-cluster.ts";
import { outageMs } from "../lib/how-many.ts";
import type { Node } from "../lib/node/netns.ts";
import { Pinging } from "../lib/node/pinging.ts";

interface Site {
  readonly fabric: Fabric;
  /** The node that is cut off. */
  readonly cut: FabricNode;
  /** Another one of its subnet. */
  readonly neighbour: FabricNode;
  /** A pod of the node that is cut off, and the address of one in the other subnet. */
  readonly from: string;
  readonly to: string;
  setMode(mode: "Always" | "CrossSubnet"): Promise<void>;
  stop(): Promise<void>;
}

const sites = [
  ["etcd", etcdIsMissing, onEtcd],
  ["Kubernetes", etcdIsMissing ?? kubeApiserverIsMissing, onKubernetes],
] as const;

async function onEtcd(): Promise<Site> {
  const cluster = await EtcdFabric.start();
  const { fabric } = cluster;
  for (const { name } of threePlaces) await cluster.begin(name, vxlanSettings, "network is in place");
  const [cut, neighbour] = [fabric.named("node-a"), fabric.named("node-b")];
  const from = addFabricPod(cut, "from").name;
  addFabricPod(neighbour, "near");
  const to = addFabricPod(fabric.named("node-c"), "to").address4;
  const setMode = (vxlanMode: string) => cluster.changePools({ vxlanMode });
  return { fabric, cut, neighbour, from, to, setMode, stop: () => cluster.stop() };
}

/** The neighbour is the node of the recorded state. */
async function onKubernetes(): Promise<Site> {
  const cluster = await MixedCluster.start("Always");
  for (const name of ["node-b", "node-c"]) await cluster.begin(name);
  const { fabric, felix: neighbour } = cluster;
  const to = cluster.calicoPods.find(({ name }) => name === "pc")?.addresses[0] ?? "";
  const site = { fabric, cut: fabric.named("node-b"), neighbour, from: "pb", to };
  return { ...site, setMode: (mode) => cluster.setMode(mode), stop: () => cluster.stop() };
}

/** What changed is known after the datastore answers again: the longest pause between two attempts. */
const knownWithinMs = 40_000;

describe.each(sites)("while %s does not answer a node", (_, whyNot, start) => {
  let site: Site;

  beforeAll(async () => {
    if (whyNot === undefined) site = await start();
  }, buildTimeoutMs);
  afterAll(() => site?.stop());

  test.skipIf(whyNot !== undefined)(
    `for ${outageMs / 1000} s, no packet is lost and every route stays`,
    async () => {
      const { fabric, cut, neighbour, from, to, setMode } = site;
      const reached = () => cut.node.run(["ping", "-n", "-c", "1", "-W", "1", to], { in: from }).status;
      await expect.poll(reached, { timeout: 20_000 }).toBe(0);
      const before = routesOf(cut.node);
      const ping = new Pinging(cut.node, from, to);
      fabric.cutOff(cut.name, true);
      try {
        await sleep(outageMs / 2);
        await setMode("CrossSubnet");
        // Not the one of the packets.
        const near = before.map((line) => line.split(" ")[0] ?? "").find((block) => !contains(block, to));
        cut.node.sh(`ip route del ${near}`);
        await sleep(outageMs / 2);
        expect(routesOf(cut.node)).toEqual(before);
      } finally {
        fabric.cutOff(cut.name, false);
      }
      const direct = `via ${neighbour.address4} dev eth0 proto 80 onlink`;
      await expect.poll(() => routesOf(cut.node).join("\n"), { timeout: knownWithinMs }).toContain(direct);
      expect(await ping.stop()).toMatchObject({ lost: [] });
    },
    outageMs + 120_000,
  );
});

/** To blocks of other nodes, by tunnel or directly. */
function routesOf(node: Node): readonly string[] {
  const lines = node
    .sh("ip route")
    .split("\n")
    .map((line) => line.trim());
  return lines.filter((line) => / via .* dev (vxlan\.calico|eth0 proto 80)/.test(line)).sort();
}

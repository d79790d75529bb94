/** Clusters with one family alone: nodes and pods of three nodes in two subnets have no address of the other, in each mode that this kernel has. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { etcdIsMissing } from "../lib/cluster/etcd.ts";
import { EtcdFabric } from "../lib/cluster/etcd-fabric.ts";
import type { FabricNode } from "../lib/cluster/fabric.ts";
import {
  asOf,
  birdRuns,
  birdSettings,
  reflectBy,
  reflectNoMore,
  sessionsOf,
  startRouterBird,
} from "../lib/cluster/fabric-bird.ts";
import {
  addFabricPod,
  askOutside,
  type FabricPod,
  serveOutside,
  threePlaces,
  unreached,
} from "../lib/cluster/fabric-pods.ts";
import { walkThroughVxlan } from "../lib/cluster/vxlan-walk.ts";
import { birdIsMissing } from "../lib/node/bird.ts";

interface Case {
  readonly family: 4 | 6;
  /** Takes the other family away from a node. */
  readonly strip: string;
  readonly settings: Readonly<Record<string, string>>;
  readonly device: string;
}

const cases: readonly Case[] = [
  {
    family: 4,
    strip: "for where in all default; do echo 1 > /proc/sys/net/ipv6/conf/$where/disable_ipv6; done",
    settings: { IP6: "none", CALICO_IPV6POOL_CIDR: "none", CALICO_IPV4POOL_VXLAN: "Always" },
    device: "vxlan.calico",
  },
  {
    family: 6,
    strip: "ip -4 address flush dev eth0",
    settings: {
      ...{ IP: "none", CALICO_IPV4POOL_CIDR: "none", CALICO_IPV6POOL_VXLAN: "Always" },
      ...{ CALICO_IPV6POOL_NAT_OUTGOING: "true", CALICO_ROUTER_ID: "hash" },
    },
    device: "vxlan-v6.calico",
  },
];

describe.skipIf(etcdIsMissing !== undefined).each(cases)("a cluster of IPv$family alone", (row) => {
  const { family, strip, settings, device } = row;
  let cluster: EtcdFabric;
  let nodes: readonly FabricNode[];
  let pods: readonly FabricPod[];

  beforeAll(async () => {
    cluster = await EtcdFabric.start();
    ({ nodes } = cluster.fabric);
    for (const { node } of nodes) node.sh(strip);
    for (const { name } of threePlaces)
      await begin(name, { CALICO_NETWORKING_BACKEND: "vxlan" }, "network is in place");
    serveOutside(cluster.fabric);
    pods = nodes.map((on) => addFabricPod(on, `pod-of-${on.name}`, [family]));
  });
  afterAll(() => cluster?.stop());

  function begin(name: string, more: Readonly<Record<string, string>>, line: string): Promise<void> {
    return cluster.begin(name, { ...settings, ...more }, line);
  }

  /** Every pod reaches every pod, and leaves the pools by the address of its node. */
  async function reachAll(): Promise<void> {
    await expect.poll(() => unreached(pods), { timeout: 60_000 }).toEqual([]);
    for (const pod of pods) expect(askOutside(pod, family)).toContain(`sees ${addressOf(pod.on)}`);
  }

  const addressOf = ({ address4, address6 }: { readonly address4: string; readonly address6: string }) =>
    family === 4 ? address4 : address6;
  /** To blocks of other nodes. */
  const routesOfBird = (name: string) =>
    cluster.fabric
      .named(name)
      .node.sh(`ip -${family} route`)
      .match(/^(192\.168|fd00:10:244:).* via .* proto bird/gm) ?? [];
  /** Those with a session. */
  async function peersOf(name: string): Promise<readonly string[]> {
    const sessions = await sessionsOf(cluster.agent(name), name);
    return sessions.filter(({ state }) => state === "up").map(({ peer }) => peer);
  }
  const linksOf = ({ node }: FabricNode) => node.sh("ip -o link").match(/(?<= )vxlan[^:@]*/g) ?? [];

  test("VXLAN: pods have addresses of the family alone, and every pod and node reaches every pod", async () => {
    for (const pod of pods) expect([pod.address4, pod.address6].filter((one) => one !== "")).toEqual([addressOf(pod)]);
    await reachAll();
    for (const one of nodes) {
      expect(linksOf(one)).toEqual([device]);
      for (const pod of pods) expect(one.node.run(["ping", "-n", "-c", "1", "-W", "2", addressOf(pod)]).status).toBe(0);
    }
  });

  test("a packet is seen at eight places as with Calico", async () => {
    await walkThroughVxlan(family, pods[0] as FabricPod, pods.at(-1) as FabricPod);
  });

  test("CrossSubnet", async () => {
    await cluster.changePools({ vxlanMode: "CrossSubnet" });
    const [a, b] = nodes as readonly [FabricNode, FabricNode];
    const direct = () => a.node.sh(`ip -${family} route`);
    await expect.poll(direct).toContain(`via ${addressOf(b)} dev eth0 proto 80`);
    await reachAll();
  });

  test("direct: where the router knows the blocks", async () => {
    await cluster.routeBlocks(true);
    await cluster.changePools({ vxlanMode: "Never" });
    for (const one of nodes) await expect.poll(() => linksOf(one)).toEqual([]);
    await reachAll();
  });

  test.skipIf(birdIsMissing !== undefined)("BGP: the mesh", async () => {
    for (const { name } of threePlaces) {
      await cluster.agent(name).stop();
      await begin(name, birdSettings(cluster.fabric.named(name)), birdRuns);
    }
    for (const { name } of threePlaces)
      await expect.poll(() => routesOfBird(name), { timeout: 20_000 }).toHaveLength(2);
    await reachAll();
  });

  test.skipIf(birdIsMissing !== undefined)("BGP: a route reflector", async () => {
    await reflectBy(cluster, "node-b");
    const [, b] = nodes as readonly [FabricNode, FabricNode];
    for (const name of ["node-a", "node-c"])
      await expect.poll(() => peersOf(name), { timeout: 30_000 }).toEqual([addressOf(b)]);
    await expect.poll(() => routesOfBird("node-a"), { timeout: 20_000 }).toHaveLength(2);
    await reachAll();
    await reflectNoMore(cluster, "node-b");
    await cluster.routeBlocks(false);
  });

  test.skipIf(birdIsMissing !== undefined)("BGP: a top-of-rack peer", async () => {
    startRouterBird(cluster.fabric);
    await cluster.put("BGPConfiguration", "bgpconfigurations", "default", { nodeToNodeMeshEnabled: false });
    for (const { name, subnet } of threePlaces) {
      await cluster.changeNode(name, { asNumber: asOf[subnet] });
      const peerIP = family === 4 ? `10.${subnet}.0.254` : `2001:db8:${subnet}::fe`;
      await cluster.put("BGPPeer", "bgppeers", name, {
        node: name,
        peerIP,
        asNumber: 65_000,
        numAllowedLocalASNumbers: 1,
      });
    }
    await reachAll();
    for (const one of nodes) await expect.poll(() => linksOf(one)).toEqual([]);
  });
});

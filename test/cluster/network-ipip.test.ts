/**
 * IPIP between pods on three nodes in two subnets, beside VXLAN for IPv6. It needs a kernel with the module `ipip`; the ring `vm` runs this file on Debian's
 * kernels.
 */
import { spawnSync } from "node:child_process";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { capturePing, requestIn } from "../lib/cluster/capture.ts";
import { etcdIsMissing } from "../lib/cluster/etcd.ts";
import { EtcdFabric, vxlanSettings } from "../lib/cluster/etcd-fabric.ts";
import type { FabricNode } from "../lib/cluster/fabric.ts";
import {
  addFabricPod,
  askOutside,
  type FabricPod,
  serveOutside,
  threePlaces,
  unreached,
} from "../lib/cluster/fabric-pods.ts";
import { patience } from "../lib/patience.ts";

// With an end, because the kernel's own tunnel without one exists in each namespace already.
const probe = ["ip", "link", "add", "probe", "type", "ipip", "remote", "192.0.2.1"];
const hasIpip = spawnSync("unshare", ["--net", ...probe]).status === 0;
const why =
  etcdIsMissing ?? (hasIpip ? undefined : "this kernel has no ipip: npm run test:vm runs it on kernels that have");

const settings = {
  ...vxlanSettings,
  ...{ CALICO_IPV4POOL_VXLAN: "Never", CALICO_IPV4POOL_IPIP: "Always" },
};

describe("IPIP of three nodes", () => {
  let cluster: EtcdFabric;
  let nodes: readonly FabricNode[];
  let pods: readonly FabricPod[];
  const wait = { timeout: 30_000 * patience, interval: 200 };

  beforeAll(async () => {
    if (why !== undefined) return;
    cluster = await EtcdFabric.start();
    ({ nodes } = cluster.fabric);
    for (const { name } of threePlaces) await cluster.begin(name, settings, "network is in place");
    pods = nodes.map((on) => addFabricPod(on, `pod-of-${on.name}`));
  }, 300_000 * patience);
  beforeEach((context) => {
    context.skip(why !== undefined, why);
  });
  afterAll(() => cluster?.stop());

  function reachAll() {
    return expect.poll(() => unreached(pods), wait).toEqual([]);
  }

  /** To other nodes' blocks of IPv4. */
  function waysOf({ node }: FabricNode): readonly string[] {
    return node
      .sh("ip route")
      .split("\n")
      .map((line) => line.trim())
      .filter((line) => line.startsWith("192.168.") && line.includes(" via "));
  }

  test("Always: each pod and each node reaches each pod", async () => {
    await reachAll();
    for (const one of nodes) {
      const ways = waysOf(one);
      expect(ways.filter((line) => /\/26 via 10\.[12]\.0\.[12] dev tunl0 proto 80 onlink$/.test(line))).toHaveLength(2);
      expect(one.node.sh("cat /var/lib/calico/mtu")).toBe("1430");
      for (const { address4 } of pods) {
        expect(`${one.name} ${one.node.run(["ping", "-n", "-c", "1", "-W", "5", address4]).status}`).toBe(
          `${one.name} 0`,
        );
      }
    }
  });

  test("pods leave the pool by the address of their node", () => {
    serveOutside(cluster.fabric);
    for (const pod of pods) expect(askOutside(pod, 4)).toContain(`sees ${pod.on.address4}`);
  });

  test("a packet has the nodes' addresses outside, the pods' inside, and a ttl less at each node", async () => {
    const [from, to] = [pods[0], pods[2]] as [FabricPod, FabricPod];
    const [near, far] = [from.on.node, to.on.node];
    const seen = await capturePing(
      [
        { node: near, link: from.hostInterface, filter: "icmp" },
        { node: near, link: "tunl0", filter: "icmp" },
        { node: near, link: "eth0", filter: "ip proto 4" },
        { node: far, link: "eth0", filter: "ip proto 4" },
        { node: far, link: "tunl0", filter: "icmp" },
        { node: far, pod: to.name, link: "eth0", filter: "icmp" },
      ],
      () => near.sh(`ping -n -c 1 -W 5 -t 64 ${to.address4}`, { in: from.name }),
    );
    const [cali, tunnel, uplink, farUplink, farTunnel, farPod] = seen.map(requestIn);
    const ping = `${from.address4} > ${to.address4}: ICMP echo request`;
    for (const [line, ttl] of [
      [cali, 64],
      [tunnel, 63],
      [farTunnel, 63],
      [farPod, 62],
    ] as const) {
      expect(line).toContain(ping);
      expect(line).toContain(`ttl ${ttl},`);
    }
    for (const line of [uplink, farUplink]) {
      expect(line).toMatch(new RegExp(`${from.on.address4} > ${to.on.address4}: .*${ping}`));
    }
  });

  test("CrossSubnet: encapsulated between the subnets alone", async () => {
    await cluster.changePools({ ipipMode: "CrossSubnet" });
    const [a, b, c] = nodes as readonly [FabricNode, FabricNode, FabricNode];
    await expect.poll(() => waysOf(a).some((line) => line.includes(`via ${b.address4} dev eth0`)), wait).toBe(true);
    await expect.poll(() => waysOf(b).some((line) => line.includes(`via ${a.address4} dev eth0`)), wait).toBe(true);
    expect(waysOf(a).filter((line) => line.includes(`via ${c.address4} dev tunl0`))).toHaveLength(1);
    await reachAll();
  });

  test("an agent that is killed and started again loses no packet", async () => {
    const [a] = nodes as readonly [FabricNode];
    const [from, to] = [pods[0], pods[2]] as [FabricPod, FabricPod];
    const before = waysOf(a);
    const flood = from.on.node.runBeside(["ping", "-n", "-q", "-i", "0.05", "-c", "200", to.address4], {
      ...{ in: from.name, timeoutMs: 60_000 * patience },
    });
    await cluster.agent(a.name).kill();
    await cluster.begin(a.name, settings, "network is in place");
    expect((await flood).stdout).toContain("200 received, 0% packet loss");
    expect(waysOf(a)).toEqual(before);
  });

  test("Never: no tunnel of IPv4 is used any more, and Always brings it back", async () => {
    await cluster.changePools({ ipipMode: "Never" });
    for (const one of nodes) await expect.poll(() => one.node.sh("ip -br link show up"), wait).not.toContain("tunl0");
    await cluster.changePools({ ipipMode: "Always" });
    for (const one of nodes)
      await expect.poll(() => waysOf(one).filter((line) => line.includes("tunl0")), wait).toHaveLength(2);
    await reachAll();
  });
});

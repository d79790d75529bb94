/**
 * Pods on three nodes in two subnets, with the agents, `tortie-net` and the plugins as processes: every pod reaches every pod, in each mode, and goes on
 * doing so while agents are killed and routes deleted.
 */

import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Etcd, etcdIsMissing } from "../lib/cluster/etcd.ts";
import { EtcdFabric, vxlanSettings } from "../lib/cluster/etcd-fabric.ts";
import type { Fabric, FabricNode } from "../lib/cluster/fabric.ts";
import {
  addFabricPod,
  askOutside,
  type FabricPod,
  serveOutside,
  threePlaces,
  unreached,
} from "../lib/cluster/fabric-pods.ts";
import { walkThroughVxlan } from "../lib/cluster/vxlan-walk.ts";
import { patience } from "../lib/patience.ts";

const podsPerNode = 2;
const nodesKey = "/calico/resources/v3/projectcalico.org/nodes/";

describe.skipIf(etcdIsMissing !== undefined)(`pods of three nodes${etcdIsMissing ? `: ${etcdIsMissing}` : ""}`, () => {
  let cluster: EtcdFabric;
  let etcd: Etcd;
  let fabric: Fabric;
  let pods: readonly FabricPod[];

  beforeAll(async () => {
    cluster = await EtcdFabric.start();
    ({ etcd, fabric } = cluster);
    for (const { name } of threePlaces) await begin(name);
    pods = fabric.nodes.flatMap((on) =>
      Array.from({ length: podsPerNode }, (_, index) => addFabricPod(on, `${on.name}-${index}`)),
    );
  });
  afterAll(() => cluster?.stop());

  async function begin(name: string): Promise<void> {
    await cluster.begin(name, vxlanSettings, "network is in place");
  }

  function reachAll() {
    return expect.poll(() => unreached(pods), { timeout: 30_000 * patience }).toEqual([]);
  }

  function setMode(vxlanMode: string): Promise<void> {
    return cluster.changePools({ vxlanMode });
  }

  /** Of the pools, without those of pods. */
  function routes({ node }: FabricNode): readonly string[] {
    return node
      .sh("ip route; ip -6 route")
      .split("\n")
      .filter((line) => /192\.168\.|fd00:10:/.test(line) && !line.includes(" dev cali"))
      .map((line) => line.replace(/ pref medium/, "").trim());
  }

  /** To the blocks of the other two nodes, of both families. */
  function throughTunnels(one: FabricNode): readonly string[] {
    return routes(one).filter((line) => line.includes("onlink") && line.includes("vxlan"));
  }

  test("VXLAN: every pod reaches every pod and every node's tunnel", async () => {
    await reachAll();
    for (const { node, name } of fabric.nodes) {
      expect(node.sh("cat /var/lib/calico/mtu")).toBe("1430");
      for (const pod of pods) {
        for (const address of [pod.address4, pod.address6]) {
          expect(`${name} ${node.run(["ping", "-n", "-c", "1", "-W", "2", address]).status}`).toBe(`${name} 0`);
        }
      }
    }
  });

  test("pods leave the pools by the address of their node", () => {
    serveOutside(fabric);
    for (const pod of pods) {
      expect(askOutside(pod, 4)).toContain(`sees ${pod.on.address4}`);
      expect(askOutside(pod, 6)).toContain(`sees ${pod.on.address6}`);
    }
  });

  test.each([4, 6] as const)("a packet of IPv%s is seen at eight places as with Calico", async (family) => {
    await walkThroughVxlan(family, pods[0] as FabricPod, pods.at(-1) as FabricPod);
  });

  test("CrossSubnet: encapsulated between the subnets alone", async () => {
    await setMode("CrossSubnet");
    const [near = "", far = ""] = [(await cluster.blocksOf("node-b"))[0], (await cluster.blocksOf("node-c"))[0]];
    const a = fabric.named("node-a");
    await expect
      .poll(() => routes(a))
      .toContain(`${near} via ${fabric.named("node-b").address4} dev eth0 proto 80 onlink`);
    expect(routes(a).find((line) => line.startsWith(far))).toMatch(/ via [\d.]+ dev vxlan\.calico onlink mtu 1450$/);
    await reachAll();
  });

  test("direct: no tunnel is left; the router knows the blocks", async () => {
    await cluster.routeBlocks(true);
    await setMode("Never");
    for (const one of fabric.nodes) {
      await expect.poll(() => routes(one).filter((line) => line.includes("vxlan"))).toEqual([]);
      await expect.poll(() => one.node.sh("ip -o link")).not.toContain("vxlan");
    }
    await reachAll();
    await setMode("Always");
    for (const one of fabric.nodes) await expect.poll(() => throughTunnels(one)).toHaveLength(4);
    await reachAll();
  });

  test("an agent that is killed and started again changes no route, and loses no packet", async () => {
    const a = fabric.named("node-a");
    const [from, to] = [pods[0], pods.at(-1)] as [FabricPod, FabricPod];
    const before = routes(a);
    const monitor = a.node.start(["ip", "monitor", "route", "link", "neigh"]);
    let changes = "";
    monitor.stdout?.on("data", (bytes: Buffer) => {
      changes += bytes.toString();
    });
    const flood = from.on.node.runBeside(["ping", "-n", "-q", "-i", "0.002", "-c", "1500", to.address4], {
      in: from.name,
    });
    await sleep(300);
    await cluster.agent("node-a").kill();
    await begin("node-a");
    expect((await flood).stdout).toContain("1500 received, 0% packet loss");
    monitor.kill();
    expect(routes(a)).toEqual(before);
    expect(
      changes
        .split("\n")
        .filter((line) => /vxlan|192\.168\.|fd00:10:/.test(line) && !/STALE|REACHABLE|DELAY|PROBE|fe80:/.test(line)),
    ).toEqual([]);
  });

  test("what somebody deletes comes back", async () => {
    const a = fabric.named("node-a");
    const before = routes(a);
    const [far = ""] = await cluster.blocksOf("node-c");
    a.node.sh(`ip route del ${far}`);
    await expect.poll(() => routes(a)).toEqual(before);
    a.node.sh("ip link del vxlan.calico");
    await expect.poll(() => routes(a), { timeout: 20_000 * patience }).toEqual(before);
    await reachAll();
  });

  test("an interface that was down for a moment costs no route", async () => {
    await setMode("CrossSubnet");
    const a = fabric.named("node-a");
    const direct = () => routes(a).filter((line) => line.includes(" dev eth0 "));
    await expect.poll(direct).toHaveLength(2);
    const before = routes(a);
    // The kernel removes the routes of an interface that goes down; the default routes are the administrator's to restore.
    a.node.sh("ip link set eth0 down; sleep 0.2; ip link set eth0 up");
    a.node.sh(`ip address replace ${a.address6}/64 dev eth0 nodad`);
    a.node.sh("ip route replace default via 10.1.0.254; ip -6 route replace default via 2001:db8:1::fe");
    await expect.poll(() => routes(a), { timeout: 20_000 * patience }).toEqual(before);
    await reachAll();
    await setMode("Always");
    for (const one of fabric.nodes) await expect.poll(() => throughTunnels(one)).toHaveLength(4);
  });

  test("while the datastore does not answer, everything stays, and what somebody deletes comes back", async () => {
    const a = fabric.named("node-a");
    const before = routes(a);
    etcd.signal("SIGSTOP");
    try {
      await sleep(6000);
      expect(routes(a)).toEqual(before);
      a.node.sh(`ip route del ${throughTunnels(a)[0]?.split(" ")[0]}`);
      await expect.poll(() => routes(a)).toEqual(before);
      expect(unreached(pods)).toEqual([]);
    } finally {
      etcd.signal("SIGCONT");
    }
  });

  test("a node that leaves takes its routes with it", async () => {
    const c = fabric.named("node-c");
    await cluster.agent("node-c").stop();
    const gone = await cluster.blocksOf("node-c");
    expect(gone.length).toBeGreaterThan(0);
    await etcd.clear(`${nodesKey}node-c`);
    for (const name of ["node-a", "node-b"]) {
      const held = () => routes(fabric.named(name)).filter((line) => gone.some((cidr) => line.includes(cidr)));
      await expect.poll(held).toEqual([]);
      expect(fabric.named(name).node.sh("bridge fdb show dev vxlan.calico")).not.toContain(c.address4);
    }
  });
});

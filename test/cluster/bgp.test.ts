/**
 * Pods on three nodes in two subnets without encapsulation: agents, real BIRD, `tortie-net` and plugins as processes, and a router that is the nodes'
 * top-of-rack peer. The router has no other routes to the pods.
 */
import { existsSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Etcd, etcdIsMissing } from "../lib/cluster/etcd.ts";
import { EtcdFabric } from "../lib/cluster/etcd-fabric.ts";
import type { Fabric } from "../lib/cluster/fabric.ts";
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
import { birdIsMissing } from "../lib/node/bird.ts";

const missing = etcdIsMissing ?? birdIsMissing;

describe.skipIf(missing !== undefined)(`pods of three nodes by BGP${missing ? `: ${missing}` : ""}`, () => {
  let cluster: EtcdFabric;
  let etcd: Etcd;
  let fabric: Fabric;
  let pods: readonly FabricPod[];

  beforeAll(async () => {
    cluster = await EtcdFabric.start();
    ({ etcd, fabric } = cluster);
    for (const { name } of threePlaces) await begin(name);
    pods = fabric.nodes.map((on) => addFabricPod(on, `pod-on-${on.name}`));
  });
  afterAll(() => cluster?.stop());

  function begin(name: string): Promise<void> {
    return cluster.begin(name, birdSettings(fabric.named(name)), birdRuns);
  }

  /** Each with the time since when it is up. */
  async function peersOf(name: string): Promise<readonly string[]> {
    const sessions = await sessionsOf(cluster.agent(name), name);
    return sessions.map(({ peer, state, since }) => `${peer} ${state} since ${since}`);
  }

  const routes = (name: string, family: "-4" | "-6" = "-4") => fabric.named(name).node.sh(`ip ${family} route`);
  const blockOf = (pod: FabricPod) => `${pod.address4.replace(/\.\d+$/, "")}.`;

  test("mesh: pods of one subnet reach each other by routes of BIRD", async () => {
    const near = pods.filter(({ on }) => on.subnet === 1);
    await expect.poll(() => unreached(near), { timeout: 40_000 }).toEqual([]);
    expect(routes("node-a")).toMatch(/^192\.168\.\S+\/26 via 10\.1\.0\.2 dev eth0 proto bird/m);
    expect(routes("node-a", "-6")).toMatch(/^fd00:10:244:\S+\/122 via 2001:db8:1::2 dev eth0 proto bird/m);
    expect(routes("node-a")).toMatch(/^blackhole 192\.168\.\S+\/26 proto 80/m);
    expect(routes("node-a")).not.toContain("vxlan");
  });

  test("mesh: a floating IP in a pool is announced, and goes again", async () => {
    const [pod] = pods as [FabricPod];
    await cluster.configure({ floatingIPs: "Enabled" });
    await cluster.setFloating(pod, ["192.168.250.5", "fd00:10:244::ffff:5"]);
    await expect
      .poll(() => routes("node-b"), { timeout: 20_000 })
      .toContain("192.168.250.5 via 10.1.0.1 dev eth0 proto bird");
    await expect
      .poll(() => routes("node-b", "-6"), { timeout: 20_000 })
      .toContain("fd00:10:244::ffff:5 via 2001:db8:1::1 dev eth0 proto bird");
    expect(routes("node-b").match(/^192\.168\.\S+ via/gm)).not.toContain(`${pod.address4} via`);
    const { node } = fabric.named("node-b");
    expect(node.sh("ping -n -c 1 -W 2 192.168.250.5; ping -n -c 1 -W 2 fd00:10:244::ffff:5")).not.toContain(
      " 0 received",
    );
    await cluster.setFloating(pod, []);
    await expect.poll(() => routes("node-b"), { timeout: 20_000 }).not.toContain("192.168.250.5");
  });

  test("tortie node status lists the sessions", async () => {
    const status = () => cluster.agent("node-a").ask({ op: "node", nodename: "node-a" });
    const mesh = { peer: "10.1.0.2", type: "node-to-node mesh", info: "Established" };
    const node = { nodename: "node-a", datastore: "etcdv3", networking: "bird" };
    const bgp = expect.arrayContaining([expect.objectContaining(mesh)]);
    await expect.poll(status, { timeout: 15_000 }).toMatchObject({ result: { node: { ...node, bgp } } });
  });

  test("mesh: every pod reaches every pod where the router knows the blocks", async () => {
    await cluster.routeBlocks(true);
    await expect.poll(() => unreached(pods), { timeout: 40_000 }).toEqual([]);
    serveOutside(fabric);
    for (const pod of pods) expect(askOutside(pod, 4)).toContain(`sees ${pod.on.address4}`);
  });

  test("a route reflector instead of the mesh: every pod reaches every pod, by routes of nodes without a session", async () => {
    await reflectBy(cluster, "node-b");
    const peers = [expect.stringMatching(/^10\.1\.0\.2 up /), expect.stringMatching(/^2001:db8:1::2 up /)];
    for (const name of ["node-a", "node-c"]) await expect.poll(() => peersOf(name), { timeout: 30_000 }).toEqual(peers);
    const far = pods.at(-1) as FabricPod;
    const way = new RegExp(`^${blockOf(far)}\\S+ via .* proto bird`, "m");
    await expect.poll(() => routes("node-a"), { timeout: 20_000 }).toMatch(way);
    await expect.poll(() => unreached(pods), { timeout: 40_000 }).toEqual([]);
    await reflectNoMore(cluster, "node-b");
    await cluster.routeBlocks(false);
  });

  test("top-of-rack peers instead of the mesh: every pod reaches every pod through the router", async () => {
    startRouterBird(fabric);
    for (const { name, subnet } of threePlaces)
      await cluster.changeNode(name, { asNumber: asOf[subnet] }, { rack: `${subnet}` });
    for (const subnet of [1, 2]) {
      for (const [family, peerIP] of Object.entries({ v4: `10.${subnet}.0.254`, v6: `2001:db8:${subnet}::fe` })) {
        const spec = { nodeSelector: `rack == '${subnet}'`, peerIP, asNumber: 65_000, numAllowedLocalASNumbers: 1 };
        await cluster.put("BGPPeer", "bgppeers", `rack-${subnet}-${family}`, spec);
      }
    }
    await cluster.put("BGPConfiguration", "bgpconfigurations", "default", { nodeToNodeMeshEnabled: false });
    await expect.poll(() => unreached(pods), { timeout: 60_000 }).toEqual([]);
    const far = pods.at(-1) as FabricPod;
    expect(
      routes("node-a")
        .split("\n")
        .find((line) => line.startsWith(blockOf(far))),
    ).toContain("via 10.1.0.254");
  });

  test("an agent that is killed and started again ends no session and loses no packet", async () => {
    const [from, to] = [pods[0], pods.at(-1)] as [FabricPod, FabricPod];
    const flood = from.on.node.runBeside(["ping", "-n", "-q", "-i", "0.002", "-c", "1500", to.address4], {
      in: from.name,
    });
    const peers = [expect.stringMatching(/^10\.1\.0\.254 up /), expect.stringMatching(/^2001:db8:1::fe up /)];
    await expect.poll(() => peersOf("node-a"), { timeout: 15_000 }).toEqual(peers);
    const before = await peersOf("node-a");
    await cluster.agent("node-a").kill();
    await begin("node-a");
    expect((await flood).stdout).toContain("1500 received, 0% packet loss");
    await expect.poll(() => peersOf("node-a"), { timeout: 15_000 }).toEqual(before);
  });

  test("a BGPFilter takes effect, and goes again", async () => {
    const importV4 = [{ action: "Reject", cidr: "192.168.0.0/16", matchOperator: "In" }];
    await cluster.put("BGPFilter", "bgpfilters", "none", { importV4 });
    const peer = { nodeSelector: "rack == '1'", peerIP: "10.1.0.254", asNumber: 65_000, numAllowedLocalASNumbers: 1 };
    await cluster.put("BGPPeer", "bgppeers", "rack-1-v4", { ...peer, filters: ["none"] });
    await expect.poll(() => routes("node-a"), { timeout: 20_000 }).not.toContain("proto bird");
    await cluster.put("BGPPeer", "bgppeers", "rack-1-v4", peer);
    await expect.poll(() => unreached(pods), { timeout: 40_000 }).toEqual([]);
  });

  test("what BGP gave stays while the datastore is away", async () => {
    await etcd.kill();
    expect(unreached(pods)).toEqual([]);
    await etcd.begin();
    const [first] = pods;
    expect(existsSync(first?.on.node.outerPath("/run/tortie/bird/bird.conf") ?? "")).toBe(true);
  });
});

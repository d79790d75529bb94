/** `tortie trace` between nodes without a tunnel, and on each fault between them. */
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { etcdIsMissing } from "../lib/cluster/etcd.ts";
import { EtcdFabric } from "../lib/cluster/etcd-fabric.ts";
import { addFabricPod, type FabricPod, unreached } from "../lib/cluster/fabric-pods.ts";
import { traced, wrongHop } from "../lib/node/trace.ts";

interface Fault {
  readonly script: string;
  /** On the router. */
  readonly routerScript?: string;
  readonly finds: RegExp;
  /** The line of the remedy that mends it; absent: `undo` does. */
  readonly line?: number;
  readonly undo?: string;
  readonly routerUndo?: string;
}

const settings = {
  CALICO_NETWORKING_BACKEND: "vxlan",
  CALICO_IPV4POOL_VXLAN: "Never",
  CALICO_IPV6POOL_VXLAN: "Never",
};

const missing = etcdIsMissing === undefined ? "" : `: ${etcdIsMissing}`;

describe.skipIf(etcdIsMissing !== undefined)(`the way of a packet without a tunnel${missing}`, () => {
  let cluster: EtcdFabric;
  let pods: readonly FabricPod[];

  const begin = (name: string) => cluster.begin(name, settings, "network is in place");
  const way = () => {
    const [from, to] = pods as readonly [FabricPod, FabricPod];
    const variables = ["env", "DATASTORE_TYPE=etcdv3", `ETCD_ENDPOINTS=${cluster.etcd.endpoint}`];
    const machine = { run: (argv: readonly string[]) => from.on.node.run([...variables, ...argv]) };
    return traced(machine, from.address4, to.address4, ["--node=node-a"]);
  };

  beforeAll(async () => {
    cluster = await EtcdFabric.start();
    for (const name of ["node-a", "node-b"]) await begin(name);
    pods = ["node-a", "node-b"].map((name) => addFabricPod(cluster.fabric.named(name), `pod-${name}`));
    await vi.waitFor(() => expect(unreached(pods)).toEqual([]), { timeout: 30_000, interval: 200 });
    // It would repair the faults at once.
    await cluster.agent("node-a").kill();
  });
  afterAll(() => cluster?.stop());

  test("nothing is wrong on the way", () => {
    const { hops, title } = way();
    expect(title).toContain("on node-b");
    // Whether the entry of the other node is confirmed depends on the time since the last packet.
    const good = hops.filter(({ verdict, what }) => verdict === "good" && what !== "ARP for 10.1.0.2");
    expect(good.map(({ what }) => what.split(" ")[0])).toEqual([
      ...["eth0", "route", "ARP", pods[0]?.hostInterface, "forwarding", "firewall"],
      ...["route", "eth0", "MTU", "block", "reply", "firewall,"],
    ]);
  });

  const faults: Readonly<Record<string, (block: string) => Fault>> = {
    "the route has another next hop": (block) => ({
      script: `ip route replace ${block} via 10.1.0.254 dev eth0`,
      finds: /: route: .* via 10\.1\.0\.254 dev eth0: the next hop should be 10\.1\.0\.2 of node-b$/,
      line: 0,
      undo: `ip route replace ${block} via 10.1.0.2 dev eth0 proto 80 onlink`,
    }),
    "the route has no next hop": (block) => ({
      script: `ip route replace ${block} dev eth0`,
      finds: /: route: .* dev eth0: the next hop should be 10\.1\.0\.2 of node-b$/,
      undo: `ip route replace ${block} via 10.1.0.2 dev eth0 proto 80 onlink`,
    }),
    "there is no route": (block) => ({
      script: `ip route delete ${block}`,
      finds: /: route: default via 10\.1\.0\.254 dev eth0: there is no route to the block [\d./]+ of node-b$/,
      undo: `ip route replace ${block} via 10.1.0.2 dev eth0 proto 80 onlink`,
    }),
    "the uplink has no carrier": () => ({
      script: "true",
      routerScript: "ip link set to-node-a down",
      finds: /: eth0: has no carrier: its other end is down or gone$/,
      routerUndo: "ip link set to-node-a up",
    }),
    "the uplink lacks the node's address": (block) => ({
      script: "ip address add 10.9.9.9/32 dev eth0; ip address delete 10.1.0.1/24 dev eth0",
      finds: /: eth0: lacks this node's address 10\.1\.0\.1, which no interface has$/,
      line: 0,
      undo: `ip address delete 10.9.9.9/32 dev eth0; ip route replace default via 10.1.0.254
        ip route replace ${block} via 10.1.0.2 dev eth0 proto 80 onlink`,
    }),
    "the other node does not answer": () => ({
      script: "ip neighbour flush dev eth0; ping -c 1 -W 4 10.1.0.2 > /dev/null || true",
      routerScript: "ip link set to-node-b down",
      finds: /: ARP for 10\.1\.0\.2: does not answer \((FAILED|INCOMPLETE)\)$/,
      routerUndo: "ip link set to-node-b up",
      undo: "ip neighbour flush dev eth0; sleep 1; ping -c 1 -W 4 10.1.0.2 > /dev/null || true",
    }),
    "the other node has this node's MAC address": () => ({
      script: "ip neighbour replace 10.1.0.2 lladdr $(cat /sys/class/net/eth0/address) dev eth0 nud permanent",
      finds: /: ARP for 10\.1\.0\.2: is [\w:]+, which is this node's eth0$/,
      line: 0,
    }),
    "the uplink carries less than the pod sends": () => ({
      script: "ip link set eth0 mtu 1400",
      finds: /: MTU: the pod has 1500, and eth0 1400: large packets depend on ICMP$/,
      line: 0,
      undo: "ip link set eth0 mtu 1500",
    }),
  };

  test.each(Object.entries(faults))("finds at its step that %s", async (_, fault) => {
    const block =
      way()
        .hops.find(({ what }) => what.startsWith("block"))
        ?.what.split(" ")[1] ?? "";
    const { script, routerScript = "true", finds, line, undo = "true", routerUndo = "true" } = fault(block);
    const { fabric } = cluster;
    const { node } = fabric.named("node-a");
    fabric.router.sh(routerScript);
    node.sh(script);
    try {
      const found = way();
      expect(wrongHop(found)).toMatch(finds);
      if (line !== undefined) node.sh(found.hops[found.firstWrong ?? 0]?.remedy?.split("\n")[line] ?? "false");
    } finally {
      fabric.router.sh(routerUndo);
      node.sh(undo);
    }
    await expect.poll(() => wrongHop(way())).toBe("");
  });

  test("an agent that comes back repairs the route", async () => {
    const block =
      way()
        .hops.find(({ what }) => what.startsWith("block"))
        ?.what.split(" ")[1] ?? "";
    cluster.fabric.named("node-a").node.sh(`ip route delete ${block}`);
    await begin("node-a");
    await expect.poll(() => wrongHop(way())).toBe("");
    await expect.poll(() => unreached(pods), { timeout: 30_000 }).toEqual([]);
  });
});

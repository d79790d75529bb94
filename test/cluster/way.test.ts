/** `tortie trace` through a real tunnel, and on each fault of it. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { etcdIsMissing } from "../lib/cluster/etcd.ts";
import { EtcdFabric } from "../lib/cluster/etcd-fabric.ts";
import { addFabricPod, type FabricPod, threePlaces, unreached } from "../lib/cluster/fabric-pods.ts";
import { traced, wrongHop } from "../lib/node/trace.ts";

/** Whether its entry is confirmed depends on the time since the last packet. */
const isNextMachine = (what: string) => what === "ARP for 10.1.0.254";

describe.skipIf(etcdIsMissing !== undefined)(`the way of a packet${etcdIsMissing ? `: ${etcdIsMissing}` : ""}`, () => {
  let cluster: EtcdFabric;
  let pods: readonly FabricPod[];

  beforeAll(async () => {
    cluster = await EtcdFabric.start();
    for (const { name } of threePlaces) await begin(name);
    pods = ["node-a", "node-a", "node-c"].map((name, index) =>
      addFabricPod(cluster.fabric.named(name), `pod-${index}`),
    );
  });
  afterAll(() => cluster?.stop());

  async function begin(name: string): Promise<void> {
    const settings = {
      CALICO_NETWORKING_BACKEND: "vxlan",
      CALICO_IPV4POOL_VXLAN: "Always",
      CALICO_IPV6POOL_VXLAN: "Always",
    };
    await cluster.begin(name, settings, "network is in place");
  }

  test("tortie trace shows the way through the tunnel, and finds each fault at its step", async () => {
    await expect.poll(() => unreached(pods), { timeout: 30_000 }).toEqual([]);
    const { etcd, fabric } = cluster;
    const { node } = fabric.named("node-a");
    const [from, near, to] = [pods[0], pods[1], pods.at(-1)] as [FabricPod, FabricPod, FabricPod];
    const settings = ["env", "DATASTORE_TYPE=etcdv3", `ETCD_ENDPOINTS=${etcd.endpoint}`];
    const machine = { run: (argv: readonly string[]) => node.run([...settings, ...argv]) };
    const way = (target: string) => traced(machine, from.address4, target, ["--node=node-a"]);
    for (const target of [near.address4, to.address4, "node-c", "203.0.113.2"]) {
      expect(way(target).conclusion).toMatch(/^Nothing (is wrong on the way|that could be checked is wrong)/);
    }
    const v6 = traced(machine, from.address6, to.address6, ["--node=node-a"]);
    expect(wrongHop(v6)).toBe("");
    const { hops, title } = way(to.address4);
    expect(title).toContain(`${to.address4} on node-c`);
    const good = hops.filter(({ verdict, what }) => verdict === "good" && !isNextMachine(what));
    expect(good.map(({ what }) => what.split(" ")[0])).toEqual([
      ...["eth0", "route", "ARP", from.hostInterface, "forwarding", "firewall", "route", "vxlan.calico"],
      ...["neighbour", "FDB", "outer", "firewall,", "eth0", "MTU", "block", "firewall,", "reply", "firewall,"],
    ]);
    // The agent would repair the faults at once.
    await cluster.agent("node-a").kill();
    const gateway = hops.find(({ what }) => what.startsWith("neighbour"))?.what.split(" ")[1] ?? "";
    const mac = hops.find(({ what }) => what.startsWith("FDB"))?.what.split(" ")[1] ?? "";
    const block = hops.find(({ what }) => what.startsWith("block"))?.what.split(" ")[1] ?? "";
    const ownMac = node.sh("cat /sys/class/net/vxlan.calico/address").trim();
    const faults: readonly (readonly [script: string, finds: RegExp])[] = [
      [`ip route del ${block}`, /: route: /],
      [`ip route replace ${block} via 10.1.0.254 dev eth0`, /: route: .*the packet should leave by vxlan\.calico$/],
      [`ip route replace ${block} via 192.168.9.9 dev vxlan.calico onlink`, /: route: .*whose gateway is 192\.168\./],
      [`ip neighbour del ${gateway} dev vxlan.calico`, /: neighbour [\d.]+: is missing: it should be 66:/],
      [`ip neighbour replace ${gateway} lladdr 02:00:00:00:00:01 dev vxlan.calico nud permanent`, /: it should be 66:/],
      [`bridge fdb del ${mac} dev vxlan.calico`, /: FDB [\w:]+: is missing: it should be 10\.2\.0\.1$/],
      [
        `bridge fdb replace ${mac} dev vxlan.calico dst 10.1.0.2 self permanent`,
        /is 10\.1\.0\.2: it should be 10\.2\.0\.1$/,
      ],
      [
        `ip link delete vxlan.calico; ip link add vxlan.calico address ${ownMac} type vxlan id 7 local 10.1.0.1 dev eth0 dstport 4789
         ip link set vxlan.calico up; ip route add ${block} via ${gateway} dev vxlan.calico onlink`,
        /: vxlan\.calico: VNI is 7: it should be 4096$/,
      ],
      [
        `ip link delete vxlan.calico; ip link add vxlan.calico address ${ownMac} type vxlan id 4096 local 10.1.0.1 dev eth0 dstport 8472
         ip link set vxlan.calico up; ip route add ${block} via ${gateway} dev vxlan.calico onlink`,
        /: vxlan\.calico: UDP port is 8472: it should be 4789$/,
      ],
      ...(["input", "output"] as const).map(
        (hook) =>
          [
            `nft 'add table inet fw; add chain inet fw f { type filter hook ${hook} priority 0; policy accept; }'
             nft add rule inet fw f udp dport 4789 drop`,
            /: firewall, tunnel: nft inet fw f, by rule \d+, drops it$/,
          ] as const,
      ),
      ["ip link set vxlan.calico down", /packet should leave by vxlan\.calico, which is down$/],
      ["ip route add blackhole 10.2.0.1; ip route flush cache", /: outer packet: to 10\.2\.0\.1 of node-c: /],
      [
        "ip link set eth0 mtu 1400",
        /: MTU: vxlan\.calico has 1450, and eth0 1400: packets of more than 1350 bytes are lost$/,
      ],
    ];
    for (const [script, finds] of faults) {
      node.sh(script);
      const found = way(to.address4);
      expect(wrongHop(found), script).toMatch(finds);
      // A route of another program is the administrator's to delete; everything else is the agent's to repair.
      if (/^ip route replace .* dev eth0$/.test(script))
        node.sh(found.hops[found.firstWrong ?? 0]?.remedy?.split("\n")[0] ?? "false");
      if (script.startsWith("nft")) {
        node.sh(found.hops[found.firstWrong ?? 0]?.remedy ?? "false");
        expect(wrongHop(way(to.address4)), "after the remedy").toBe("");
        node.sh("nft delete table inet fw");
        continue;
      }
      node.sh("ip link set eth0 mtu 1500; ip route delete blackhole 10.2.0.1 2>/dev/null || true");
      await begin("node-a");
      await expect.poll(() => wrongHop(way(to.address4))).toBe("");
      await cluster.agent("node-a").kill();
    }
    await begin("node-a");
    const free = block.replace(/\.\d+\/26$/, (text) => `.${Number(text.slice(1, -3)) + 60}`);
    expect(wrongHop(way(free))).toContain(`no pod has ${free} (its block ${block} belongs to node-c)`);
    await expect.poll(() => unreached(pods), { timeout: 30_000 }).toEqual([]);
  });
});

/** `tortie doctor` on nodes of a cluster: silent while all is well, and what it says of the faults of the network around the agent. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { etcdIsMissing } from "../lib/cluster/etcd.ts";
import { EtcdFabric, vxlanSettings } from "../lib/cluster/etcd-fabric.ts";
import type { Fabric } from "../lib/cluster/fabric.ts";
import { addFabricPod, type FabricPod, fabricConflist, threePlaces, unreached } from "../lib/cluster/fabric-pods.ts";
import { doctor } from "../lib/node/doctor.ts";

describe.skipIf(etcdIsMissing !== undefined)(
  `the doctor of a cluster${etcdIsMissing ? `: ${etcdIsMissing}` : ""}`,
  () => {
    let cluster: EtcdFabric;
    let fabric: Fabric;
    let pods: readonly FabricPod[];
    let directory: string;

    beforeAll(async () => {
      directory = mkdtempSync(join(tmpdir(), "tortie-conflist-"));
      writeFileSync(join(directory, "10-calico.conflist"), fabricConflist);
      cluster = await EtcdFabric.start();
      ({ fabric } = cluster);
      for (const { name } of threePlaces) {
        await cluster.begin(name, vxlanSettings, "network is in place");
      }
      pods = fabric.nodes.map((on) => addFabricPod(on, `pod-on-${on.name}`));
    });
    afterAll(async () => {
      await cluster?.stop();
      rmSync(directory, { recursive: true, force: true });
    });

    function findingsOn(name: string): readonly string[] {
      const { findings } = doctor(fabric.named(name).node, { conflist: join(directory, "10-calico.conflist") });
      return findings.map(({ id, subject, text }) => `${id}: ${subject} ${text}`);
    }

    const containing = (start: RegExp) => expect.arrayContaining([expect.stringMatching(start)]);

    test("says nothing of healthy nodes", async () => {
      await expect.poll(() => unreached(pods), { timeout: 30_000 }).toEqual([]);
      for (const { name } of fabric.nodes) expect([name, ...findingsOn(name)]).toEqual([name]);
    });

    test("says nothing of natOutgoing and floating IPs as the cluster asks for them", async () => {
      const { node } = fabric.named("node-a");
      await cluster.configure({
        ...{ floatingIPs: "Enabled", natOutgoingExclusions: "IPPoolsAndHostIPs", natPortRange: "40000:50000" },
      });
      await cluster.setFloating(pods[0] as FabricPod, ["198.51.100.5"]);
      await expect.poll(() => node.sh("nft list tables"), { timeout: 15_000 }).toContain("tortie_floating");
      expect(findingsOn("node-a")).toEqual([]);
    });

    test("tunnel-reverse-path: pods keep their addresses at nodes, and the kernel is strict", () => {
      const { node, address4 } = fabric.named("node-c");
      const pod = pods[0] as FabricPod;
      const ping = () => pod.on.node.run(["ping", "-n", "-c", "1", "-W", "1", address4], { in: pod.name }).status;
      expect(ping()).toBe(0);
      node.sh("echo 1 > /proc/sys/net/ipv4/conf/eth0/rp_filter");
      // The finding is true.
      expect(ping()).not.toBe(0);
      expect(findingsOn("node-c")).toEqual([
        expect.stringMatching(/^tunnel-reverse-path: rp_filter of eth0 is strict/),
      ]);
      node.sh("echo 2 > /proc/sys/net/ipv4/conf/eth0/rp_filter");
      expect(ping()).toBe(0);
      expect(findingsOn("node-c")).toEqual([]);
    });

    test("tunnel-port-closed: a firewall that opens no port for VXLAN", async () => {
      await cluster.configure({});
      const { node } = fabric.named("node-b");
      const accepts = "iifname lo accept; ct state established accept; meta l4proto { tcp, icmp, icmpv6 } accept";
      node.sh(`nft 'table inet fw { chain input { type filter hook input priority 0; policy drop; ${accepts}; }; }'`);
      const closed =
        /^tunnel-port-closed: nft inet fw input drops VXLAN of other nodes \(UDP 4789\), by its policy "drop"/;
      expect(findingsOn("node-b")).toEqual(containing(closed));
      node.sh("nft insert rule inet fw input udp dport 4789 accept");
      expect(findingsOn("node-b")).toEqual([]);
      node.sh("nft delete table inet fw");
    });

    test("tunnel-dropped: a firewall that knows the uplink alone", () => {
      const { node } = fabric.named("node-b");
      const accepts = "ct state established accept; iifname eth0 accept; oifname eth0 accept";
      node.sh(
        `nft 'table inet fw { chain forward { type filter hook forward priority 0; policy drop; ${accepts}; }; }'`,
      );
      const dropped =
        /^tunnel-dropped: nft inet fw forward drops packets between pods here and vxlan\.calico, by its policy/;
      expect(findingsOn("node-b")).toEqual(containing(dropped));
      node.sh("nft delete table inet fw");
    });

    test("path-mtu: the network carries less than the interface says", () => {
      fabric.router.sh("ip link set to-node-b mtu 1300");
      const large = /^path-mtu: 10\.1\.0\.2 answers small packets, but none of 1500 bytes, the MTU of eth0/;
      expect(findingsOn("node-a")).toEqual(containing(large));
      fabric.router.sh("ip link set to-node-b mtu 1500");
      // The kernel remembers for ten minutes what it has learned of the way.
      fabric.named("node-a").node.sh("ip route flush cache; ip -6 route flush cache");
      expect(findingsOn("node-a")).toEqual([]);
    });

    test("tunnel-interface: the node's address is on an interface that does not lead to other nodes", () => {
      const { node } = fabric.named("node-a");
      node.sh(
        "ip link add eth1 type veth peer name far; ip link set eth1 up; ip link set far up; ip route del default; ip route add default dev eth1",
      );
      const astray =
        /^tunnel-interface: vxlan\.calico sends by eth0, which has this node's address 10\.1\.0\.1, but the way to the node 10\.2\.0\.1 is by eth1/;
      expect(findingsOn("node-a")).toEqual(containing(astray));
      node.sh("ip link del eth1; ip route add default via 10.1.0.254");
    });
  },
);

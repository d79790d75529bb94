/** A node whose address changes while pods run: its agent finds the new one, and the other nodes send there. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { etcdIsMissing } from "../lib/cluster/etcd.ts";
import { EtcdFabric } from "../lib/cluster/etcd-fabric.ts";
import type { Fabric } from "../lib/cluster/fabric.ts";
import { addFabricPod, type FabricPod, threePlaces, unreached } from "../lib/cluster/fabric-pods.ts";

const nodesKey = "/calico/resources/v3/projectcalico.org/nodes/";

describe.skipIf(etcdIsMissing !== undefined)(
  `the address of a node${etcdIsMissing ? `: ${etcdIsMissing}` : ""}`,
  () => {
    let cluster: EtcdFabric;
    let fabric: Fabric;
    let pods: readonly FabricPod[];

    beforeAll(async () => {
      cluster = await EtcdFabric.start();
      ({ fabric } = cluster);
      for (const { name } of threePlaces) {
        const settings = {
          ...{ CALICO_NETWORKING_BACKEND: "vxlan", CALICO_IPV4POOL_VXLAN: "Always", CALICO_IPV6POOL_VXLAN: "Always" },
          ...{ IP: "autodetect", IP6: "autodetect", IP_AUTODETECTION_METHOD: "interface=eth0" },
          ...{ IP6_AUTODETECTION_METHOD: "interface=eth0", AUTODETECT_POLL_INTERVAL: "0" },
        };
        await cluster.begin(name, settings, "network is in place");
      }
      pods = fabric.nodes.map((on) => addFabricPod(on, `pod-on-${on.name}`));
    });
    afterAll(() => cluster?.stop());

    const recorded = async (name: string) => Object.values(await cluster.etcd.dump(nodesKey + name)).join();
    const destinations = (name: string) => fabric.named(name).node.sh("bridge fdb show dev vxlan.calico");

    test("changes, of both families: within 20 seconds every pod reaches every pod again", async () => {
      await expect.poll(() => unreached(pods), { timeout: 30_000 }).toEqual([]);
      const b = fabric.named("node-b").node;
      const foreign = b.sh("ip route add 198.51.100.0/24 dev lo; ip route show 198.51.100.0/24");
      b.sh("ip address del 10.1.0.2/24 dev eth0; ip address del 2001:db8:1::2/64 dev eth0");
      b.sh("ip address add 10.1.0.22/24 dev eth0; ip address add 2001:db8:1::22/64 dev eth0 nodad");
      b.sh("ip route replace default via 10.1.0.254; ip -6 route replace default via 2001:db8:1::fe");
      const start = performance.now();
      await expect.poll(() => unreached(pods), { timeout: 40_000, interval: 200 }).toEqual([]);
      const ms = Math.round(performance.now() - start);
      console.log(`every pod reaches every pod again after ${ms} ms`);
      expect(ms).toBeLessThan(20_000);
      expect(await recorded("node-b")).toContain("10.1.0.22/24");
      for (const name of ["node-a", "node-c"]) {
        expect(destinations(name)).toContain("dst 10.1.0.22 ");
        expect(destinations(name)).not.toContain("dst 10.1.0.2 ");
      }
      expect(b.sh("ip -d link show vxlan.calico")).toContain("local 10.1.0.22");
      expect(b.sh("ip route show 198.51.100.0/24")).toBe(foreign);
    });

    test("an interface that is down for a moment keeps it", async () => {
      const { node } = fabric.named("node-a");
      const before = await recorded("node-a");
      node.sh("ip link set eth0 down; sleep 0.5; ip link set eth0 up; ip address add 2001:db8:1::1/64 dev eth0 nodad");
      node.sh("ip route replace default via 10.1.0.254; ip -6 route replace default via 2001:db8:1::fe");
      await expect.poll(() => unreached(pods), { timeout: 30_000 }).toEqual([]);
      expect(await recorded("node-a")).toBe(before);
    });
  },
);

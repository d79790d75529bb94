/** The network of two nodes over a real kube-apiserver, with the rights of `conf-examples/kubernetes/rbac.yaml` and no others. */
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { vxlanMacOf } from "../../src/cluster-network/network-node.ts";
import { etcdIsMissing } from "../lib/cluster/etcd.ts";
import type { Fabric } from "../lib/cluster/fabric.ts";
import type { KubeApiserver } from "../lib/cluster/kube-apiserver.ts";
import { buildTimeoutMs, kubeApiserverIsMissing } from "../lib/cluster/kubernetes-build.ts";
import { KubernetesFabric } from "../lib/cluster/kubernetes-fabric.ts";
import { podOn, podsPath } from "../lib/cluster/kubernetes-objects.ts";
import { loadConflist } from "../lib/conflist.ts";
import { traced, wrongHop } from "../lib/node/trace.ts";
import { root } from "../lib/suite.ts";

const whyNot = etcdIsMissing ?? kubeApiserverIsMissing;
const calico = "/apis/crd.projectcalico.org/v1";
const conflist = loadConflist(join(root, "test/fixtures/10-calico.conflist"));
const places = [
  { name: "node-a", subnet: 1, host: 1 },
  { name: "node-b", subnet: 2, host: 1 },
] as const;

interface Resource<Spec = unknown> {
  readonly metadata: { readonly name: string; readonly annotations?: Readonly<Record<string, string>> };
  readonly spec: Spec;
}

describe.skipIf(whyNot !== undefined)(`the network of Kubernetes' nodes${whyNot ? `: ${whyNot}` : ""}`, () => {
  let cluster: KubernetesFabric;
  let api: KubeApiserver;
  let fabric: Fabric;
  let far: string;

  beforeAll(async () => {
    cluster = await KubernetesFabric.start(places);
    ({ api, fabric } = cluster);
    await cluster.beginAll({
      ...{ CALICO_NETWORKING_BACKEND: "vxlan", FELIX_IPV6SUPPORT: "false" },
      ...{ CALICO_IPV4POOL_CIDR: "192.168.0.0/16", CALICO_IPV4POOL_VXLAN: "CrossSubnet" },
    });
  }, buildTimeoutMs);
  afterAll(() => cluster?.stop());

  async function patch(path: string, body: object): Promise<void> {
    expect((await api.call("PATCH", path, body, "application/merge-patch+json")).status).toBe(200);
  }

  const annotationsOf = async (name: string) =>
    (await api.json<Resource>("GET", `/api/v1/nodes/${name}`)).metadata.annotations ?? {};

  test("each node's tunnel is named in its annotations, and pods reach each other through it", async () => {
    for (const { name, address4 } of fabric.nodes) {
      expect(await annotationsOf(name)).toMatchObject({
        "projectcalico.org/IPv4Address": `${address4}/24`,
        "projectcalico.org/IPv4VXLANTunnelAddr": expect.stringMatching(/^192\.168\./),
        "projectcalico.org/VXLANTunnelMACAddr": vxlanMacOf(name, 4),
      });
    }
    await cluster.addPod(conflist, "node-a", "one");
    ({ address: far } = await cluster.addPod(conflist, "node-b", "two"));
    const ping = () => fabric.named("node-a").node.run(["ping", "-n", "-c", "1", "-W", "1", far], { in: "one" }).status;
    await expect.poll(ping, { timeout: 20_000 }).toBe(0);
  });

  test("tortie trace finds the way of a packet by the names of pods, with no more rights than the agent", () => {
    const { node } = fabric.named("node-a");
    const settings = ["env", "DATASTORE_TYPE=kubernetes", `KUBECONFIG=${cluster.kubeconfig}`];
    const machine = { run: (argv: readonly string[]) => node.run([...settings, ...argv]) };
    const found = traced(machine, "default/one", "default/two", ["--node=node-a"]);
    expect(wrongHop(found)).toBe("");
    expect(found.title).toMatch(new RegExp(`to default/two \\(${far}\\) on node-b$`));
    expect(found.hops.filter(({ place }) => place === "node node-b").map(({ what }) => what)).toEqual([
      expect.stringMatching(/^block 192\.168\./),
      "pod default/two",
    ]);
    expect(() => traced(machine, "default/two", "default/one", ["--node=node-a"])).toThrow('it is on node "node-b"');
  });

  test("host-local gets the node's podCIDRs for usePodCidr, and DEL releases the address", async () => {
    const { node } = fabric.named("node-a");
    const [main = {}, ...others] = conflist.plugins;
    const ipam = { type: "host-local", ranges: [[{ subnet: "usePodCidr" }], [{ subnet: "usePodCidrIPv6" }]] };
    const list = {
      ...conflist,
      cniVersion: "1.0.0",
      plugins: [{ ...main, type: "calico", ipam: { ...ipam, dataDir: "/run/host-local" } }, ...others],
    };
    await api.json("POST", podsPath, podOn("node-a", "ranged"));
    const sandbox = {
      ...{ containerId: "id-ranged", netns: node.addPod("ranged"), ifname: "eth0" },
      args: [
        ["IgnoreUnknown", "1"],
        ["K8S_POD_NAMESPACE", "default"],
        ["K8S_POD_NAME", "ranged"],
      ] as const,
    };
    const runner = cluster.runner("node-a");
    const gated = { ...list, plugins: list.plugins.map((one) => ({ ...one, readiness_gates: ["nonsense"] })) };
    expect(() => runner.add(gated, sandbox)).toThrow('cannot use readiness gate "nonsense"');
    expect(() => runner.add(list, sandbox)).toThrow('node "node-a" has no podCIDR');
    const podCIDRs = ["10.77.1.0/24", "fd00:77:1::/64"];
    await patch("/api/v1/nodes/node-a", { spec: { podCIDR: podCIDRs[0], podCIDRs } });
    const addresses = () => (runner.add(list, sandbox).ips ?? []).map(({ address }) => address);
    expect(addresses()).toEqual(["10.77.1.2/32", "fd00:77:1::2/128"]);
    runner.check(list, sandbox);
    expect(node.sh("ip route show 10.77.1.2")).toContain("dev cali");
    runner.del(list, sandbox);
    expect(node.sh("ls /run/host-local/*")).not.toContain("10.77.1.2");
  });

  test("a FelixConfiguration is followed", async () => {
    const { node } = fabric.named("node-a");
    const device = () => node.sh("ip -d link show vxlan.calico");
    expect(device()).toContain("vxlan id 4096");
    await api.json("POST", `${calico}/felixconfigurations`, {
      ...{ apiVersion: "crd.projectcalico.org/v1", kind: "FelixConfiguration", metadata: { name: "default" } },
      spec: { vxlanVNI: 4097, vxlanMTU: 1400 },
    });
    await expect.poll(device).toContain("vxlan id 4097");
    expect(device()).toContain("mtu 1400");
    await expect.poll(() => node.sh("cat /var/lib/calico/mtu")).toBe("1400");
  });

  test("while the API server does not answer, everything stays, and what somebody deletes comes back", async () => {
    const { node } = fabric.named("node-a");
    const routes = () => node.sh("ip route show dev vxlan.calico; ip route show proto 80");
    const ping = () => node.run(["ping", "-n", "-c", "1", "-W", "1", far], { in: "one" }).status;
    await expect.poll(ping).toBe(0);
    const before = routes();
    api.signal("SIGSTOP");
    try {
      await sleep(8000);
      expect([routes(), ping()]).toEqual([before, 0]);
      node.sh(`ip route del ${before.split(" ")[0]}; ip link set vxlan.calico down`);
      await expect.poll(routes).toBe(before);
      await expect.poll(ping).toBe(0);
    } finally {
      api.signal("SIGCONT");
    }
  });

  test("floating IPs follow the annotation of a pod that runs", async () => {
    const { node } = fabric.named("node-a");
    const path = `${podsPath}/one`;
    const annotate = async (floatingIPs: string | null) => {
      await patch(path, { metadata: { annotations: { "cni.projectcalico.org/floatingIPs": floatingIPs } } });
    };
    const map = () => node.run(["nft", "list", "map", "ip", "tortie_floating", "floating"]).stdout;
    await annotate('["198.51.100.5"]');
    await patch(`${calico}/felixconfigurations/default`, { spec: { floatingIPs: "Enabled" } });
    const { metadata } = await api.json<Resource>("GET", path);
    const address = metadata.annotations?.["cni.projectcalico.org/podIP"]?.replace("/32", "");
    await expect.poll(map).toContain(`198.51.100.5 : ${address}`);
    expect(node.sh("ping -n -c 1 -W 2 198.51.100.5")).toContain("1 received");
    // The other node's agent sees the pods of its own node alone.
    expect(fabric.named("node-b").node.sh("nft list tables")).not.toContain("tortie_floating");
    await annotate('["198.51.100.6"]');
    await expect.poll(map).toContain(`198.51.100.6 : ${address}`);
    expect(map()).not.toContain("198.51.100.5");
    await annotate(null);
    await expect.poll(() => node.sh("nft list tables")).not.toContain("tortie_floating");
  });
});

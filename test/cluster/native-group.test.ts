/** Two nodes of a cluster whose objects are in Calico's native group, `projectcalico.org/v3`: addresses, records and routes, with the rights that docs/kubernetes.md derives. */
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { BlockSpec } from "../../src/ipam/model/block.ts";
import { Agent } from "../lib/cluster/agent.ts";
import { etcdIsMissing } from "../lib/cluster/etcd.ts";
import { Fabric } from "../lib/cluster/fabric.ts";
import { KubeApiserver, type Manifest } from "../lib/cluster/kube-apiserver.ts";
import { buildTimeoutMs, kubeApiserverIsMissing } from "../lib/cluster/kubernetes-build.ts";
import { loadConflist } from "../lib/conflist.ts";
import { addressOf, Runner } from "../lib/runtimes/runner.ts";
import { ourPluginDir, pluginDirs, root } from "../lib/suite.ts";

const whyNot = etcdIsMissing ?? kubeApiserverIsMissing;
const group = "projectcalico.org/v3";
const calico = `/apis/${group}`;
const pods = "/api/v1/namespaces/default/pods";
const places = [
  { name: "node-a", subnet: 1, host: 1 },
  { name: "node-b", subnet: 2, host: 1 },
] as const;

const { plugins, ...network } = loadConflist(join(root, "test/fixtures/10-calico.conflist"));
const conflist = {
  ...network,
  plugins: plugins.map((plugin) => (plugin.type === "calico" ? { ...plugin, calico_api_group: group } : plugin)),
};

interface Resource<Spec = unknown> {
  readonly metadata: { readonly name: string; readonly annotations?: Readonly<Record<string, string>> };
  readonly spec: Spec;
}

describe.skipIf(whyNot !== undefined)(`objects of ${group}${whyNot ? `: ${whyNot}` : ""}`, () => {
  let api: KubeApiserver;
  let fabric: Fabric;
  const agents: Agent[] = [];

  beforeAll(async () => {
    api = await KubeApiserver.start();
    await api.applyOnServer(join(root, "conf-examples/kubernetes/rbac.yaml"), { change: inGroup });
    const kubeconfig = await api.kubeconfigOf("kube-system", "tortie-node");
    const account = { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "default" } };
    await api.json("POST", "/api/v1/namespaces/default/serviceaccounts", account);
    fabric = await Fabric.start(places, api.port);
    for (const { name, node, address4 } of fabric.nodes) {
      await api.json("POST", "/api/v1/nodes", { apiVersion: "v1", kind: "Node", metadata: { name } });
      const environment = {
        ...{ DATASTORE_TYPE: "kubernetes", KUBECONFIG: kubeconfig, CALICO_API_GROUP: group, NODENAME: name },
        ...{ CALICO_NETWORKING_BACKEND: "vxlan", IP: `${address4}/24`, FELIX_IPV6SUPPORT: "false" },
        FELIX_ENDPOINTSTATUSPATHPREFIX: "/run/calico",
        ...{ CALICO_IPV4POOL_CIDR: "192.168.0.0/16", CALICO_IPV4POOL_VXLAN: "Always" },
        TORTIE_NET: process.env.TORTIE_NET ?? join(dirname(ourPluginDir), "tortie-net"),
      };
      const agent = await Agent.start(node, environment, { hasNetwork: true });
      agents.push(agent);
      await agent.says("network is in place");
    }
  }, buildTimeoutMs);
  afterAll(async () => {
    await Promise.all(agents.map((agent) => agent.stop()));
    await fabric?.stop();
    await api?.stop();
  });

  const list = async <Spec>(kind: string) =>
    (await api.json<{ readonly items: readonly Resource<Spec>[] }>("GET", `${calico}/${kind}`)).items;

  const sandboxOf = (name: string) =>
    ({
      ...{ containerId: `id-${name}`, netns: `/run/netns/${name}`, ifname: "eth0" },
      args: [
        ["K8S_POD_NAMESPACE", "default"],
        ["K8S_POD_NAME", name],
      ],
    }) as const;

  const runnerOf = (name: string) => new Runner({ node: fabric.named(name).node, pluginDirs });

  async function addPod(nodeName: string, name: string): Promise<string> {
    await api.json("POST", pods, {
      ...{ apiVersion: "v1", kind: "Pod", metadata: { name } },
      spec: { nodeName, automountServiceAccountToken: false, containers: [{ name: "c", image: "i" }] },
    });
    fabric.named(nodeName).node.addPod(name);
    return addressOf(runnerOf(nodeName).add(conflist, sandboxOf(name)));
  }

  async function podHandles(): Promise<readonly string[]> {
    const handles = await list<{ readonly handleID: string }>("ipamhandles");
    return handles.map(({ spec }) => spec.handleID).filter((handle) => !handle.startsWith("vxlan-tunnel-addr-"));
  }

  test("ADD assigns from them and reaches the other node's pods, DEL releases, and nothing is written to the other group", async () => {
    const near = await addPod("node-a", "one");
    const far = await addPod("node-b", "two");
    expect([...(await podHandles())].sort()).toEqual(["k8s-pod-network.id-one", "k8s-pod-network.id-two"]);
    const pod = await api.json<Resource>("GET", `${pods}/one`);
    expect(pod.metadata.annotations?.["cni.projectcalico.org/podIP"]).toBe(`${near}/32`);
    const block = (await list<BlockSpec>("ipamblocks")).find(({ spec }) => spec.affinity === "host:node-b");
    const { node } = fabric.named("node-a");
    await expect.poll(() => node.sh("ip route show dev vxlan.calico"), { timeout: 20_000 }).toContain(block?.spec.cidr);
    const ping = () => node.run(["ping", "-n", "-c", "1", "-W", "1", far], { in: "one" }).status;
    await expect.poll(ping, { timeout: 20_000 }).toBe(0);
    const status = "/run/calico/endpoint-status/k8s default%2Fone eth0";
    expect(JSON.parse(node.sh(`cat '${status}'`))).toMatchObject({ ipv4Nets: [`${near}/32`], containerID: "id-one" });
    runnerOf("node-a").del(conflist, sandboxOf("one"));
    expect(node.sh("ls /run/calico/endpoint-status")).toBe("");
    runnerOf("node-b").del(conflist, sandboxOf("two"));
    expect(await podHandles()).toEqual([]);
    for (const kind of ["ippools", "ipamblocks", "ipamhandles", "blockaffinities", "clusterinformations"]) {
      const { items } = await api.json<{ readonly items: readonly object[] }>(
        "GET",
        `/apis/crd.projectcalico.org/v1/${kind}`,
      );
      expect(items, kind).toEqual([]);
    }
  });
});

/** As the line of docs/kubernetes.md changes the file. */
function inGroup(manifest: Manifest): Manifest {
  const text = JSON.stringify(manifest)
    .replaceAll("crd.projectcalico.org", "projectcalico.org")
    .replaceAll("ipamconfigs", "ipamconfigurations");
  return JSON.parse(text) as Manifest;
}

/** Two nodes of a cluster whose objects are in Calico's native group, `projectcalico.org/v3`: addresses, records and routes, with the rights that docs/kubernetes.md derives. */
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { BlockSpec } from "../../src/ipam/model/block.ts";
import { etcdIsMissing } from "../lib/cluster/etcd.ts";
import type { KubeApiserver, Manifest } from "../lib/cluster/kube-apiserver.ts";
import { buildTimeoutMs, kubeApiserverIsMissing } from "../lib/cluster/kubernetes-build.ts";
import { KubernetesFabric } from "../lib/cluster/kubernetes-fabric.ts";
import { agentRole, podsPath } from "../lib/cluster/kubernetes-objects.ts";
import { loadConflist } from "../lib/conflist.ts";
import { root } from "../lib/suite.ts";

const whyNot = etcdIsMissing ?? kubeApiserverIsMissing;
const group = "projectcalico.org/v3";
const calico = `/apis/${group}`;
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
  let cluster: KubernetesFabric;
  let api: KubeApiserver;

  beforeAll(async () => {
    const prepare = (server: KubeApiserver) => server.applyOnServer(agentRole, { change: inGroup });
    cluster = await KubernetesFabric.start(places, { prepare });
    ({ api } = cluster);
    await cluster.beginAll({
      ...{ CALICO_API_GROUP: group, CALICO_NETWORKING_BACKEND: "vxlan", FELIX_IPV6SUPPORT: "false" },
      FELIX_ENDPOINTSTATUSPATHPREFIX: "/run/calico",
      ...{ CALICO_IPV4POOL_CIDR: "192.168.0.0/16", CALICO_IPV4POOL_VXLAN: "Always" },
    });
  }, buildTimeoutMs);
  afterAll(() => cluster?.stop());

  const list = async <Spec>(kind: string) =>
    (await api.json<{ readonly items: readonly Resource<Spec>[] }>("GET", `${calico}/${kind}`)).items;

  async function podHandles(): Promise<readonly string[]> {
    const handles = await list<{ readonly handleID: string }>("ipamhandles");
    return handles.map(({ spec }) => spec.handleID).filter((handle) => !handle.startsWith("vxlan-tunnel-addr-"));
  }

  test("ADD assigns from them and reaches the other node's pods, DEL releases, and nothing is written to the other group", async () => {
    const near = await cluster.addPod(conflist, "node-a", "one");
    const far = await cluster.addPod(conflist, "node-b", "two");
    expect([...(await podHandles())].sort()).toEqual(["k8s-pod-network.id-one", "k8s-pod-network.id-two"]);
    const pod = await api.json<Resource>("GET", `${podsPath}/one`);
    expect(pod.metadata.annotations?.["cni.projectcalico.org/podIP"]).toBe(`${near.address}/32`);
    const block = (await list<BlockSpec>("ipamblocks")).find(({ spec }) => spec.affinity === "host:node-b");
    const { node } = cluster.fabric.named("node-a");
    await expect.poll(() => node.sh("ip route show dev vxlan.calico"), { timeout: 20_000 }).toContain(block?.spec.cidr);
    const ping = () => node.run(["ping", "-n", "-c", "1", "-W", "1", far.address], { in: "one" }).status;
    await expect.poll(ping, { timeout: 20_000 }).toBe(0);
    const status = "/run/calico/endpoint-status/k8s default%2Fone eth0";
    expect(JSON.parse(node.sh(`cat '${status}'`))).toMatchObject({
      ipv4Nets: [`${near.address}/32`],
      containerID: "id-one",
    });
    cluster.runner("node-a").del(conflist, near.sandbox);
    expect(node.sh("ls /run/calico/endpoint-status")).toBe("");
    cluster.runner("node-b").del(conflist, far.sandbox);
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

/** What two nodes with real BIRD announce of services, over a real kube-apiserver, with the rights of `conf-examples/kubernetes/rbac.yaml` and no others. */
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { etcdIsMissing } from "../lib/cluster/etcd.ts";
import type { Fabric } from "../lib/cluster/fabric.ts";
import { birdRuns, birdSettings } from "../lib/cluster/fabric-bird.ts";
import type { KubeApiserver } from "../lib/cluster/kube-apiserver.ts";
import { buildTimeoutMs, kubeApiserverIsMissing } from "../lib/cluster/kubernetes-build.ts";
import { KubernetesFabric } from "../lib/cluster/kubernetes-fabric.ts";
import { agentRole, createNode } from "../lib/cluster/kubernetes-objects.ts";
import { birdIsMissing } from "../lib/node/bird.ts";
import { root } from "../lib/suite.ts";

const whyNot = etcdIsMissing ?? kubeApiserverIsMissing ?? birdIsMissing;
const places = [
  { name: "node-a", subnet: 1, host: 1 },
  { name: "node-b", subnet: 1, host: 2 },
] as const;
const slices = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
const configurations = "/apis/crd.projectcalico.org/v1/bgpconfigurations";
const services = "/api/v1/namespaces/default/services";

describe.skipIf(whyNot !== undefined)(`services announced by BGP${whyNot ? `: ${whyNot}` : ""}`, () => {
  let cluster: KubernetesFabric;
  let api: KubeApiserver;
  let fabric: Fabric;

  beforeAll(async () => {
    cluster = await KubernetesFabric.start(places, { schemas: false, prepare });
    ({ api, fabric } = cluster);
    for (const one of fabric.nodes) {
      await createNode(api, one.name);
      const pool = { CALICO_IPV4POOL_CIDR: "192.168.0.0/16", CALICO_IPV4POOL_IPIP: "Never" };
      await cluster.begin(one.name, { FELIX_IPV6SUPPORT: "false", ...pool, ...birdSettings(one) }, birdRuns);
    }
    const serviceIPs = { serviceLoadBalancerIPs: [{ cidr: "203.0.113.128/25" }] };
    await api.json("POST", configurations, {
      ...{ apiVersion: "crd.projectcalico.org/v1", kind: "BGPConfiguration", metadata: { name: "default" } },
      spec: { ...serviceIPs, serviceExternalIPs: [{ cidr: "198.51.100.0/24" }] },
    });
  }, buildTimeoutMs);
  afterAll(() => cluster?.stop());

  /** With the ready state of its endpoint on node-b. */
  function slice(ready: boolean): object {
    return {
      ...{ apiVersion: "discovery.k8s.io/v1", kind: "EndpointSlice", addressType: "IPv4" },
      metadata: { name: "web-1", labels: { "kubernetes.io/service-name": "web" } },
      endpoints: [{ addresses: ["192.168.9.9"], nodeName: "node-b", conditions: { ready } }],
      ports: [{ port: 80 }],
    };
  }

  /** The ways that node-a has learned to addresses of services. */
  function learned(): readonly string[] {
    const lines = fabric.named("node-a").node.sh("ip route show proto bird").split("\n");
    return lines.filter((line) => / via /.test(line) && !line.startsWith("192.168.")).map((line) => line.trim());
  }

  const viaB = (address: string) => expect.stringContaining(`${address} via 10.1.0.2 dev eth0`);
  const wait = { timeout: 30_000 };

  test("the addresses of a service with externalTrafficPolicy Local are announced where it has a ready endpoint", async () => {
    const spec = { type: "LoadBalancer", externalTrafficPolicy: "Local", selector: {}, ports: [{ port: 80 }] };
    const service = { apiVersion: "v1", kind: "Service", metadata: { name: "web" } };
    await api.json("POST", services, { ...service, spec: { ...spec, externalIPs: ["198.51.100.7", "192.0.2.7"] } });
    const status = { loadBalancer: { ingress: [{ ip: "203.0.113.200" }] } };
    await api.call("PATCH", `${services}/web/status`, { status }, "application/merge-patch+json");
    await api.json("POST", slices, slice(true));
    await expect.poll(learned, wait).toEqual([viaB("198.51.100.7"), viaB("203.0.113.200")]);
  });

  test("an endpoint that is not ready takes them back", async () => {
    await api.call("PATCH", `${slices}/web-1`, slice(false), "application/merge-patch+json");
    await expect.poll(learned, wait).toEqual([]);
    await api.call("PATCH", `${slices}/web-1`, slice(true), "application/merge-patch+json");
    await expect.poll(learned, wait).toHaveLength(2);
  });

  test("a service that is deleted, too", async () => {
    await api.json("DELETE", `${services}/web`);
    await expect.poll(learned, wait).toEqual([]);
  });
});

/** The example's own schemas and rights. */
async function prepare(api: KubeApiserver): Promise<void> {
  for (const file of [join(root, "conf-examples/kubernetes/crds.yaml"), agentRole]) await api.apply(file);
  // A new kind is served a little later.
  const isServed = async () => expect((await api.call("GET", configurations)).status).toBe(200);
  await vi.waitFor(isServed, { timeout: 60_000, interval: 200 });
}

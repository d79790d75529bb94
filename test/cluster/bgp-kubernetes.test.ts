/** What two nodes with real BIRD announce of services, over a real kube-apiserver, with the rights of `conf-examples/kubernetes/rbac.yaml` and no others. */
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { Agent } from "../lib/cluster/agent.ts";
import { etcdIsMissing } from "../lib/cluster/etcd.ts";
import { Fabric } from "../lib/cluster/fabric.ts";
import { birdRuns, birdSettings } from "../lib/cluster/fabric-bird.ts";
import { KubeApiserver } from "../lib/cluster/kube-apiserver.ts";
import { buildTimeoutMs, kubeApiserverIsMissing } from "../lib/cluster/kubernetes-build.ts";
import { birdIsMissing } from "../lib/node/bird.ts";
import { ourPluginDir, root } from "../lib/suite.ts";

const whyNot = etcdIsMissing ?? kubeApiserverIsMissing ?? birdIsMissing;
const places = [
  { name: "node-a", subnet: 1, host: 1 },
  { name: "node-b", subnet: 1, host: 2 },
] as const;
const slices = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
const configurations = "/apis/crd.projectcalico.org/v1/bgpconfigurations";
const services = "/api/v1/namespaces/default/services";

describe.skipIf(whyNot !== undefined)(`services announced by BGP${whyNot ? `: ${whyNot}` : ""}`, () => {
  let api: KubeApiserver;
  let fabric: Fabric;
  const agents: Agent[] = [];

  beforeAll(async () => {
    api = await KubeApiserver.start({ schemas: false });
    for (const file of ["crds.yaml", "rbac.yaml"]) await api.apply(join(root, "conf-examples/kubernetes", file));
    // A new kind is served a little later.
    const isServed = async () => expect((await api.call("GET", configurations)).status).toBe(200);
    await vi.waitFor(isServed, { timeout: 60_000, interval: 200 });
    const kubeconfig = await api.kubeconfigOf("kube-system", "tortie-node");
    fabric = await Fabric.start(places, api.port);
    for (const one of fabric.nodes) {
      await api.json("POST", "/api/v1/nodes", { apiVersion: "v1", kind: "Node", metadata: { name: one.name } });
      const environment = {
        ...{ DATASTORE_TYPE: "kubernetes", KUBECONFIG: kubeconfig, NODENAME: one.name, FELIX_IPV6SUPPORT: "false" },
        ...{ IP: `${one.address4}/24`, CALICO_IPV4POOL_CIDR: "192.168.0.0/16", CALICO_IPV4POOL_IPIP: "Never" },
        TORTIE_NET: process.env.TORTIE_NET ?? join(dirname(ourPluginDir), "tortie-net"),
        ...birdSettings(one),
      };
      const agent = await Agent.start(one.node, environment, { hasNetwork: true });
      agents.push(agent);
      await agent.says(birdRuns);
    }
    const serviceIPs = { serviceLoadBalancerIPs: [{ cidr: "203.0.113.128/25" }] };
    await api.json("POST", configurations, {
      ...{ apiVersion: "crd.projectcalico.org/v1", kind: "BGPConfiguration", metadata: { name: "default" } },
      spec: { ...serviceIPs, serviceExternalIPs: [{ cidr: "198.51.100.0/24" }] },
    });
  }, buildTimeoutMs);
  afterAll(async () => {
    await Promise.all(agents.map((agent) => agent.stop()));
    await fabric?.stop();
    await api?.stop();
  });

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

/** The node agent's start on a real kube-apiserver: the Node belongs to the kubelet, and Calico's data is in its annotations. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Agent } from "../lib/cluster/agent.ts";
import { etcdIsMissing } from "../lib/cluster/etcd.ts";
import { KubeApiserver } from "../lib/cluster/kube-apiserver.ts";
import { buildTimeoutMs, kubeApiserverIsMissing } from "../lib/cluster/kubernetes-build.ts";
import { Node } from "../lib/node/netns.ts";

const whyNot = etcdIsMissing ?? kubeApiserverIsMissing;
const calico = "/apis/crd.projectcalico.org/v1";

interface NodeResource {
  readonly status: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
}

describe.skipIf(whyNot !== undefined)(`tortie-node on Kubernetes${whyNot ? `: ${whyNot}` : ""}`, () => {
  let api: KubeApiserver;
  let node: Node;
  let environment: Readonly<Record<string, string>>;

  beforeAll(async () => {
    api = await KubeApiserver.start();
    node = await Node.start("node-k");
    environment = {
      ...{ DATASTORE_TYPE: "kubernetes", KUBECONFIG: api.kubeconfig, NODENAME: "node-k", CLUSTER_TYPE: "k8s" },
      ...{ IP: "autodetect", IP_AUTODETECTION_METHOD: "kubernetes-internal-ip", FELIX_IPV6SUPPORT: "false" },
      CALICO_IPV4POOL_CIDR: "10.244.0.0/16",
    };
  }, buildTimeoutMs);
  afterAll(async () => {
    await node?.stop();
    await api?.stop();
  });

  const get = <Resource>(path: string) => api.json<Resource>("GET", path);

  test("without the kubelet's Node it does not start, and says so", async () => {
    const agent = new Agent(node, environment);
    expect(await agent.ended()).toBe(1);
    expect(agent.stderr).toContain('cannot find this node\'s IPv4 address by "kubernetes-internal-ip"');
  });

  test("finds its address by Kubernetes' word for it, and makes what Calico's node makes", async () => {
    await api.call("POST", "/api/v1/nodes", {
      apiVersion: "v1",
      kind: "Node",
      metadata: { name: "node-k", labels: { zone: "a" } },
    });
    const addresses = [{ type: "InternalIP", address: "203.0.113.7" }];
    const { status } = await api.call("PUT", "/api/v1/nodes/node-k/status", {
      ...(await get<object>("/api/v1/nodes/node-k")),
      status: { addresses },
    });
    expect(status).toBe(200);

    const agent = await Agent.start(node, environment);
    const { metadata } = await get<{ readonly metadata: object }>("/api/v1/nodes/node-k");
    expect(metadata).toMatchObject({
      labels: { zone: "a" },
      annotations: { "projectcalico.org/IPv4Address": "203.0.113.7/32" },
    });
    expect(await get(`${calico}/ippools/default-ipv4-ippool`)).toMatchObject({
      spec: { cidr: "10.244.0.0/16", blockSize: 26, natOutgoing: true, nodeSelector: "all()" },
    });
    expect(await get(`${calico}/clusterinformations/default`)).toMatchObject({
      spec: { clusterGUID: expect.stringMatching(/^[0-9a-f]{32}$/), clusterType: "k8s", datastoreReady: true },
    });
    expect(readFileSync(node.outerPath("/var/lib/calico/nodename"), "utf8")).toBe("node-k");
    const networkState = async () =>
      (await get<NodeResource>("/api/v1/nodes/node-k")).status.conditions?.find(
        ({ type }) => type === "NetworkUnavailable",
      );
    expect(await networkState()).toMatchObject({ status: "False", reason: "CalicoIsUp" });
    expect(await agent.stop()).toBe(0);
    expect(await networkState()).toMatchObject({ status: "True", reason: "CalicoIsDown" });
  });

  test("done again it changes nothing but the condition", async () => {
    const versions = async () => {
      const paths = [`${calico}/ippools/default-ipv4-ippool`, `${calico}/clusterinformations/default`];
      const objects = await Promise.all(
        paths.map((path) => get<{ readonly metadata: { readonly resourceVersion: string } }>(path)),
      );
      const { metadata } = await get<{ readonly metadata: { readonly annotations: object } }>("/api/v1/nodes/node-k");
      return [metadata.annotations, ...objects.map((object) => object.metadata.resourceVersion)];
    };
    const before = await versions();
    const agent = await Agent.start(node, environment);
    expect(await agent.stop()).toBe(0);
    expect(await versions()).toEqual(before);
  });
});

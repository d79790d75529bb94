/** Pods of a Kubernetes cluster: Calico's own conflist, unmodified, with our plugins, the agent and a real kube-apiserver. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { BlockSpec } from "../../src/ipam/model/block.ts";
import { Agent } from "../lib/cluster/agent.ts";
import { etcdIsMissing } from "../lib/cluster/etcd.ts";
import { KubeApiserver } from "../lib/cluster/kube-apiserver.ts";
import { buildTimeoutMs, kubeApiserverIsMissing } from "../lib/cluster/kubernetes-build.ts";
import { agentRole, createDefaultAccount, createNode, podOn, podsPath } from "../lib/cluster/kubernetes-objects.ts";
import { loadConflist } from "../lib/conflist.ts";
import { Node } from "../lib/node/netns.ts";
import { addressOf, PluginError, Runner } from "../lib/runtimes/runner.ts";
import { pluginDirs, root } from "../lib/suite.ts";

const whyNot = etcdIsMissing ?? kubeApiserverIsMissing;
const calico = "/apis/crd.projectcalico.org/v1";
const conflist = loadConflist(join(root, "test/fixtures/10-calico.conflist"));

interface Resource<Spec = unknown> {
  readonly metadata: {
    readonly name: string;
    readonly uid: string;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec: Spec;
}

describe.skipIf(whyNot !== undefined)(`pods of Kubernetes${whyNot ? `: ${whyNot}` : ""}`, () => {
  let api: KubeApiserver;
  let node: Node;
  let agent: Agent;
  let runner: Runner;
  /** The agent's account, with the permissions of its role. */
  let kubeconfig: string;

  beforeAll(async () => {
    api = await KubeApiserver.start();
    node = await Node.start("node-k");
    runner = new Runner({ node, pluginDirs });
    await api.apply(agentRole);
    kubeconfig = await api.kubeconfigOf("kube-system", "tortie-node");
    await createNode(api, "node-k");
    await createDefaultAccount(api);
  }, buildTimeoutMs);
  beforeEach(async () => {
    agent = await begin();
    return async () => {
      await agent.stop();
    };
  });
  afterAll(async () => {
    await node?.stop();
    await api?.stop();
  });

  function begin(): Promise<Agent> {
    return Agent.start(node, {
      ...{ DATASTORE_TYPE: "kubernetes", KUBECONFIG: kubeconfig, NODENAME: "node-k", CLUSTER_TYPE: "k8s" },
      ...{ IP: "203.0.113.1/24", FELIX_IPV6SUPPORT: "false", CALICO_IPV4POOL_CIDR: "10.244.0.0/16" },
    });
  }

  const call = <Body>(method: string, path: string, body?: object) => api.json<Body>(method, path, body);

  async function addPod(name: string, annotations: Readonly<Record<string, string>> = {}): Promise<void> {
    node.addPod(name);
    await createPod(name, annotations);
  }

  /** Resolves with its UID. */
  async function createPod(name: string, annotations: Readonly<Record<string, string>> = {}): Promise<string> {
    const { metadata } = await call<Resource>("POST", podsPath, podOn("node-k", name, { annotations }));
    return metadata.uid;
  }

  /** `uid`: as the kubelet passes it. */
  const sandboxOf = (name: string, containerId = `id-${name}`, uid?: string) =>
    ({
      containerId,
      netns: `/run/netns/${name}`,
      ifname: "eth0",
      args: [
        ["K8S_POD_NAMESPACE", "default"],
        ["K8S_POD_NAME", name],
        ...(uid === undefined ? [] : ([["K8S_POD_UID", uid]] as const)),
      ],
    }) as const;

  const annotationsOf = async (name: string) =>
    (await call<Resource>("GET", `${podsPath}/${name}`)).metadata.annotations ?? {};

  async function allocated(): Promise<number> {
    const { items } = await call<{ readonly items: readonly Resource<BlockSpec>[] }>("GET", `${calico}/ipamblocks`);
    return items.flatMap(({ spec }) => spec.allocations).filter((index) => index !== null).length;
  }

  const spooled = () => {
    const directory = node.outerPath("/var/lib/tortie/spool");
    return existsSync(directory) ? readdirSync(directory) : [];
  };

  test("ADD gives an address of the cluster's, records it at the pod, and DEL gives it back", async () => {
    await addPod("web");
    const result = runner.add(conflist, sandboxOf("web"));
    const address = addressOf(result);
    expect(address).toMatch(/^10\.244\./);
    expect(await annotationsOf("web")).toEqual({
      "cni.projectcalico.org/containerID": "id-web",
      "cni.projectcalico.org/podIP": `${address}/32`,
      "cni.projectcalico.org/podIPs": `${address}/32`,
    });
    expect(await allocated()).toBe(1);
    node.sh(`ping -c 1 -W 2 ${address}`);
    expect(node.sh("ping -c 1 -W 2 203.0.113.2", { in: "web" })).toContain("1 received");
    runner.del(conflist, sandboxOf("web"));
    expect(await annotationsOf("web")).toEqual({
      "cni.projectcalico.org/containerID": "id-web",
      "cni.projectcalico.org/podIP": "",
      "cni.projectcalico.org/podIPs": "",
    });
    expect(await allocated()).toBe(0);
  });

  test("a pod that was made again under its name gets what it asks for itself, however late the watch is", async () => {
    node.addPod("twin");
    for (let round = 0; round < 10; round++) {
      const wanted = `10.244.200.${round}`;
      const uid = await createPod("twin", { "cni.projectcalico.org/ipAddrs": `["${wanted}"]` });
      const sandbox = sandboxOf("twin", `id-twin-${round}`, uid);
      expect(addressOf(runner.add(conflist, sandbox))).toBe(wanted);
      expect(await annotationsOf("twin")).toMatchObject({ "cni.projectcalico.org/podIP": `${wanted}/32` });
      runner.del(conflist, sandbox);
      await call("DELETE", `${podsPath}/twin?gracePeriodSeconds=0`);
    }
    expect(await allocated()).toBe(0);
  });

  test("a namespace's annotation is followed", async () => {
    const path = "/api/v1/namespaces/default";
    const annotate = async (families: string) => {
      const { metadata, ...namespace } = await call<Resource>("GET", path);
      const annotations = { "cni.projectcalico.org/ipFamilies": families };
      await call("PUT", path, { ...namespace, metadata: { ...metadata, annotations } });
    };
    node.addPod("asked");
    const uid = await createPod("asked");
    const reply = () => agent.ask({ op: "pod", nodename: "node-k", pod: { namespace: "default", name: "asked" }, uid });
    for (const families of ['["IPv4"]', '["IPv6"]', '["IPv4"]']) {
      await annotate(families);
      const annotations = { "cni.projectcalico.org/ipFamilies": families };
      await expect.poll(reply, { timeout: 5000 }).toMatchObject({ result: { annotations } });
    }
    const { metadata, ...namespace } = await call<Resource>("GET", path);
    await call("PUT", path, { ...namespace, metadata: { ...metadata, annotations: {} } });
  });

  test("CHECK, GC and STATUS ask the agent", async () => {
    const list = { ...conflist, cniVersion: "1.1.0" };
    await addPod("one");
    await addPod("two");
    runner.status(list);
    runner.add(list, sandboxOf("one"));
    runner.add(list, sandboxOf("two"));
    runner.check(list, sandboxOf("one"));
    runner.collect(list, [sandboxOf("two")]);
    expect(await allocated()).toBe(1);
    expect(await annotationsOf("one")).toMatchObject({ "cni.projectcalico.org/podIP": "" });
    expect(() => runner.check(list, sandboxOf("one"))).toThrow(PluginError);
    runner.check(list, sandboxOf("two"));
    runner.del(list, sandboxOf("two"));
    runner.del(list, sandboxOf("one"));
  });

  test("a pod's annotations go before its namespace's", async () => {
    for (const [name, cidr] of [
      ["small", "10.77.0.0/26"],
      ["other", "10.78.0.0/26"],
    ] as const)
      await call("POST", `${calico}/ippools`, {
        ...{ apiVersion: "crd.projectcalico.org/v1", kind: "IPPool", metadata: { name } },
        spec: { cidr, nodeSelector: "all()", allowedUses: ["Workload"], assignmentMode: "Manual" },
      });
    const namespace = await call<Resource>("GET", "/api/v1/namespaces/default");
    const annotated = (annotations: object) => ({ ...namespace, metadata: { ...namespace.metadata, annotations } });
    await call("PUT", "/api/v1/namespaces/default", annotated({ "cni.projectcalico.org/ipv4pools": '["other"]' }));
    await addPod("plain");
    await addPod("chosen", { "cni.projectcalico.org/ipv4pools": '["small"]' });
    await addPod("fixed", { "cni.projectcalico.org/ipAddrs": '["10.77.0.9"]' });
    const addresses = ["plain", "chosen", "fixed"].map((name) => addressOf(runner.add(conflist, sandboxOf(name))));
    expect(addresses).toEqual([expect.stringMatching(/^10\.78\./), expect.stringMatching(/^10\.77\./), "10.77.0.9"]);
    for (const name of ["plain", "chosen", "fixed"]) runner.del(conflist, sandboxOf(name));
    expect(await allocated()).toBe(0);
    const { metadata } = await call<Resource>("GET", "/api/v1/namespaces/default");
    await call("PUT", "/api/v1/namespaces/default", { ...namespace, metadata: { ...metadata, annotations: {} } });
  });

  test("a late DEL of a pod's old sandbox leaves the new one's record and address", async () => {
    await addPod("again");
    node.addPod("again-old");
    const old = { ...sandboxOf("again", "old"), netns: "/run/netns/again-old" };
    runner.add(conflist, old);
    const address = addressOf(runner.add(conflist, sandboxOf("again", "new")));
    runner.del(conflist, old);
    expect(await annotationsOf("again")).toMatchObject({
      "cni.projectcalico.org/containerID": "new",
      "cni.projectcalico.org/podIP": `${address}/32`,
    });
    node.sh(`ping -c 1 -W 2 ${address}`);
    runner.del(conflist, sandboxOf("again", "new"));
    expect(await allocated()).toBe(0);
  });

  test("a pod that the API server does not have is refused, and nothing is left", async () => {
    node.addPod("ghost");
    expect(() => runner.add(conflist, sandboxOf("ghost"))).toThrow('cannot attach pod "default/ghost"');
    runner.del(conflist, sandboxOf("ghost"));
    expect(await allocated()).toBe(0);
    expect(spooled()).toEqual([]);
  });

  test("without the agent ADD says so with code 11, and DEL succeeds; the agent does the rest when it is back", async () => {
    await addPod("left");
    await addPod("late");
    runner.add(conflist, sandboxOf("left"));
    await agent.stop();
    expect(() => runner.add(conflist, sandboxOf("late"))).toThrow("tortie-node is not running");
    expect(JSON.parse(runner.calls.at(-1)?.stdout ?? "")).toMatchObject({ code: 11 });
    runner.del(conflist, sandboxOf("left"));
    runner.del(conflist, sandboxOf("late"));
    expect(spooled().length).toBeGreaterThan(0);
    expect(await allocated()).toBe(1);
    agent = await begin();
    await expect.poll(() => spooled()).toEqual([]);
    expect(await allocated()).toBe(0);
    expect(await annotationsOf("left")).toMatchObject({ "cni.projectcalico.org/podIP": "" });
  });

  test("while the API server is away DELs end within a second each, and an ADD within five; then all addresses are free", async () => {
    const names = Array.from({ length: 20 }, (_, index) => `p${index}`);
    for (const name of [...names, "waits"]) await addPod(name);
    for (const name of names) runner.add(conflist, sandboxOf(name));
    expect(await allocated()).toBe(20);
    await api.kill();
    const timed = (body: () => void) => {
      const start = performance.now();
      body();
      return performance.now() - start;
    };
    expect(timed(() => expect(() => runner.add(conflist, sandboxOf("waits"))).toThrow(PluginError))).toBeLessThan(5000);
    expect(JSON.parse(runner.calls.at(-1)?.stdout ?? "")).toMatchObject({ code: 11 });
    const slowest = Math.max(...names.map((name) => timed(() => runner.del(conflist, sandboxOf(name)))));
    runner.del(conflist, sandboxOf("waits"));
    await api.begin();
    await expect.poll(() => spooled(), { timeout: 60_000 }).toEqual([]);
    expect(await allocated()).toBe(0);
    // The chain's three processes, and one request of calico without an answer: the second does not wait for another.
    expect(slowest).toBeLessThan(1000);
  });

  test("doctor checks a pod through the agent, finds nothing, and says when the agent is away", async () => {
    const doctor = () =>
      node.run([process.execPath, join(root, "dist/tortie.js"), "doctor", "--bin-dir", pluginDirs[0] ?? ""]).stdout;
    const problems = (text: string) =>
      text.split("\n").filter((line) => /^ {2}(FAIL|WARN|NOTE)/.test(line) && !line.includes("/etc/cni/net.d"));
    await addPod("healthy");
    runner.add(conflist, sandboxOf("healthy"));
    expect(problems(doctor())).toEqual([]);
    await agent.stop();
    expect(doctor()).toMatch(/FAIL +node agent cannot ask the node agent: tortie-node is not running/);
    agent = await begin();
    runner.del(conflist, sandboxOf("healthy"));
    expect(await allocated()).toBe(0);
  });

  test("tortie node status prints what docs/cli.md shows", async () => {
    await addPod("seen");
    runner.add(conflist, sandboxOf("seen"));
    // In the node's files, but in the machine's network, where the API server listens.
    const enter = [`--target=${node.pid}`, "--mount", "--uts", "--", process.execPath, join(root, "dist/tortie.js")];
    const { stdout, exitCode } = await execa("/usr/bin/nsenter", [...enter, "node", "status"], {
      env: { KUBECONFIG: api.kubeconfig },
    });
    expect(exitCode).toBe(0);
    const comparable = (text: string) =>
      text
        .replaceAll(/by \S+;/g, "by FILE;")
        .replace(/cluster [0-9a-f]{32}/, "cluster GUID")
        .replace(/Blocks: .*/, "Blocks:");
    const [, shown = ""] = readFileSync(join(root, "docs/cli.md"), "utf8").split("$ tortie node status\n");
    expect(comparable(shown.slice(0, shown.indexOf("\n```")))).toBe(comparable(stdout));
    runner.del(conflist, sandboxOf("seen"));
  });

  test("nodename comes from the agent's file alone", () => {
    expect(readFileSync(node.outerPath("/var/lib/calico/nodename"), "utf8")).toBe("node-k");
  });
});

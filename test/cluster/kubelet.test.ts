/**
 * A cluster as users have it: kube-apiserver, controllers and scheduler, a kubelet with containerd, and our DaemonSet (`conf-examples/kubernetes`) from
 * the image of `scripts/image`. Pods have the conflist that Calico's installer wrote, unmodified.
 *
 * Of the manifests the test changes where the API server is: without kube-proxy the address of its service leads nowhere.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { tortie } from "../lib/cluster/command.ts";
import { etcdIsMissing } from "../lib/cluster/etcd.ts";
import { KubeApiserver, type Manifest } from "../lib/cluster/kube-apiserver.ts";
import { Kubelet } from "../lib/cluster/kubelet.ts";
import { buildTimeoutMs, kubernetesIsMissing, kubernetesPrograms } from "../lib/cluster/kubernetes-build.ts";
import { removeOwnCgroups } from "../lib/node/cgroups.ts";
import { Node } from "../lib/node/netns.ts";
import { Containerd, containerdIsMissing } from "../lib/runtimes/containerd.ts";
import { images } from "../lib/runtimes/image.ts";
import { root } from "../lib/suite.ts";

const whyNot =
  etcdIsMissing ??
  containerdIsMissing ??
  kubernetesIsMissing("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kubectl");

const manifests = ["crds.yaml", "rbac.yaml", "tortie-node.yaml"].map((file) =>
  join(root, "conf-examples/kubernetes", file),
);
const calicosConflist = readFileSync(join(root, "test/fixtures/10-calico.conflist"), "utf8");
const calico = "/apis/crd.projectcalico.org/v1";
const pods = "/api/v1/namespaces/default/pods";
const deployment = "/apis/apps/v1/namespaces/default/deployments/web";

interface Pod {
  readonly metadata: { readonly name: string; readonly annotations?: Readonly<Record<string, string>> };
  readonly status: {
    readonly podIP?: string;
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
  };
}

interface Block {
  readonly spec: { readonly attributes: readonly { readonly handle_id?: string }[] };
}

interface List<Item> {
  readonly items: readonly Item[];
}

const tunnel = "vxlan-tunnel-addr-node-k";

const isReady = ({ status: { conditions = [] } }: Pod) =>
  conditions.some(({ type, status }) => type === "Ready" && status === "True");

describe.skipIf(whyNot !== undefined)(`a cluster${whyNot ? `: ${whyNot}` : ""}`, () => {
  let api: KubeApiserver;
  let node: Node;
  let containerd: Containerd;
  let kubelet: Kubelet;

  beforeAll(async () => {
    api = await KubeApiserver.start({ schemas: false });
    node = await Node.start("node-k");
    containerd = await Containerd.start(node);
    const directory = mkdtempSync(join(tmpdir(), "tortie-image-"));
    await execa(join(root, "scripts/image"), [join(directory, "image.tar")]);
    containerd.load(join(directory, "image.tar"));
    rmSync(directory, { recursive: true });
    kubelet = await Kubelet.start({ node, api, containerd, name: "node-k" });
  }, buildTimeoutMs);
  afterAll(async () => {
    await kubelet?.stop();
    containerd?.close();
    await node?.stop();
    await api?.stop();
    removeOwnCgroups();
  });

  const list = async <Item>(path: string) => (await api.json<List<Item>>("GET", path)).items;
  const agents = () => list<Pod>("/api/v1/namespaces/kube-system/pods?labelSelector=k8s-app%3Dtortie-node");

  /** The agent's pod, when it is ready. */
  async function readyAgent(other?: string): Promise<string> {
    await expect
      .poll(async () => (await agents()).filter(isReady).some(({ metadata: { name } }) => name !== other), {
        timeout: 120_000,
      })
      .toBe(true);
    return (await agents()).filter(isReady)[0]?.metadata.name ?? "";
  }

  async function scaleTo(replicas: number): Promise<readonly Pod[]> {
    const patch = { spec: { replicas } };
    expect((await api.call("PATCH", deployment, patch, "application/merge-patch+json")).status).toBe(200);
    await expect
      .poll(
        async () => {
          const all = await list<Pod>(pods);
          return [all.length, all.filter(isReady).length];
        },
        { timeout: 180_000, interval: 500 },
      )
      .toEqual([replicas, replicas]);
    return await list<Pod>(pods);
  }

  /** The handles of pods; the node's tunnel has an address too. */
  async function allocated(): Promise<readonly string[]> {
    const blocks = await list<Block>(`${calico}/ipamblocks`);
    const handles = blocks.flatMap(({ spec }) => spec.attributes.map(({ handle_id }) => handle_id ?? ""));
    return handles.filter((handle) => handle !== tunnel);
  }

  const addressesOf = (all: readonly Pod[]) =>
    Object.fromEntries(all.map(({ metadata, status }) => [metadata.name, status.podIP ?? ""]));

  test("the manifests pass a server's dry run, and are applied", async () => {
    for (const file of manifests) await api.applyOnServer(file, { change: here, dryRun: !file.endsWith("crds.yaml") });
    for (const file of manifests) await api.applyOnServer(file, { change: here });
    const name = await readyAgent();
    expect(name).toMatch(/^tortie-node-/);
    expect(readFileSync(node.outerPath("/etc/cni/net.d/10-calico.conflist"), "utf8")).toBe(calicosConflist);
    await api.until<Pod>("/api/v1/nodes/node-k", isReady);
    expect(node.sh("ip -d link show vxlan.calico")).toContain("vxlan id 4096");
    expect(node.sh("stat -c %a /run/tortie /var/lib/tortie")).toBe("700\n700\n");
    expect((await fetchOnNode("http://127.0.0.1:9091/metrics")).includes("tortie_node_")).toBe(true);
  });

  async function fetchOnNode(url: string): Promise<string> {
    const script = `fetch(${JSON.stringify(url)}).then((answer) => answer.text()).then(console.log)`;
    return (await node.runBeside([process.execPath, "-e", script])).stdout;
  }

  /** Where the API server is, and Calico's own conflist. */
  function here(manifest: Manifest): Manifest {
    if (manifest.kind === "ConfigMap") return { ...manifest, data: { "10-calico.conflist": calicosConflist } };
    if (manifest.kind !== "DaemonSet") return manifest;
    const text = JSON.stringify(manifest);
    const env = [
      { name: "KUBERNETES_SERVICE_HOST", value: "127.0.0.1" },
      { name: "KUBERNETES_SERVICE_PORT", value: String(api.port) },
    ];
    return JSON.parse(text.replace('"env":[', `"env":${JSON.stringify(env).slice(0, -1)},`)) as Manifest;
  }

  test("30 pods of a Deployment are ready, each with an address of its own in Calico's objects", async () => {
    await api.json("POST", "/apis/apps/v1/namespaces/default/deployments", webDeployment);
    const all = await scaleTo(30);
    const addresses = Object.values(addressesOf(all));
    expect(new Set(addresses).size).toBe(30);
    for (const { metadata, status } of all) {
      const { annotations = {} } = metadata;
      expect(annotations["cni.projectcalico.org/podIP"]).toBe(`${status.podIP}/32`);
      expect(annotations["cni.projectcalico.org/podIPs"]).toBe(`${status.podIP}/32`);
      const handle = `k8s-pod-network.${annotations["cni.projectcalico.org/containerID"]}`;
      expect(await allocated()).toContain(handle);
    }
    expect((await allocated()).length).toBe(30);
    for (const address of addresses.slice(0, 3)) node.sh(`ping -c 1 -W 2 ${address}`);
  });

  test("kubectl describe shows a pod's address and sandbox among its annotations", async () => {
    const [pod] = await list<Pod>(pods);
    const { kubectl } = await kubernetesPrograms("kubectl");
    const { stdout } = await execa(kubectl, ["describe", "pod", pod?.metadata.name ?? ""], {
      env: { KUBECONFIG: api.kubeconfig },
    });
    const [, annotations = ""] = /^Annotations: +((?:.*\n)(?: +.*\n)*)/m.exec(stdout) ?? [];
    const address = `${pod?.status.podIP}/32`;
    expect(
      Object.fromEntries(
        annotations
          .trim()
          .split("\n")
          .map((line) => line.trim().split(": ")),
      ),
    ).toEqual({
      "cni.projectcalico.org/containerID": expect.stringMatching(/^[0-9a-f]{64}$/),
      "cni.projectcalico.org/podIP": address,
      "cni.projectcalico.org/podIPs": address,
    });
  });

  test.each(["ipam show", "get nodes -o wide", "ipam check"])(
    "docs/kubernetes.md shows what tortie %s prints",
    async (line) => {
      const { stdout } = await tortie({ KUBECONFIG: api.kubeconfig }, line);
      const document = readFileSync(join(root, "docs/kubernetes.md"), "utf8");
      const [, after = ""] = document.split(`$ tortie ${line}\n`);
      expect(shapeOf(after.slice(0, after.search(/^(\$|```)/m)))).toBe(shapeOf(stdout));
    },
  );

  test("kubelet, containerd, the agent and the API server restart, pods keep their addresses, and new ones come", async () => {
    const before = addressesOf(await list<Pod>(pods));
    kubelet.kill();
    kubelet.begin();
    await scaleTo(31);
    containerd.end("KILL");
    await containerd.begin();
    await scaleTo(32);
    const old = await readyAgent();
    await api.json("DELETE", `/api/v1/namespaces/kube-system/pods/${old}`);
    await readyAgent(old);
    await scaleTo(33);
    await api.kill();
    await api.begin();
    const after = addressesOf(await scaleTo(34));
    expect(after).toMatchObject(before);
    expect(new Set(Object.values(after)).size).toBe(34);
    expect((await allocated()).length).toBe(34);
  });

  test("scaled to zero, only what Calico keeps is left: the node's blocks, affinities and tunnel, and the pool", async () => {
    await scaleTo(0);
    await expect.poll(allocated, { timeout: 60_000 }).toEqual([]);
    const handles = await list<{ readonly metadata: { readonly name: string } }>(`${calico}/ipamhandles`);
    expect(handles.map(({ metadata }) => metadata.name)).toEqual([tunnel]);
    expect((await list(`${calico}/ippools`)).length).toBe(1);
    const affinities = await list<{ readonly spec: { readonly node: string } }>(`${calico}/blockaffinities`);
    expect(new Set(affinities.map(({ spec }) => spec.node))).toEqual(new Set(["node-k"]));
    expect(
      node
        .sh("ip -o link show")
        .split("\n")
        .filter((line) => /\bcali[0-9a-f]{11}/.test(line)),
    ).toEqual([]);
    expect(
      node
        .sh("ls /run/tortie/endpoints /run/tortie/parts; ip route show proto all | grep cali || true")
        .match(/json|cali/g),
    ).toBeNull();
    expect(existsSync(node.outerPath("/var/lib/tortie/spool")) ? node.sh("ls /var/lib/tortie/spool") : "").toBe("");
  });
});

/** Without what each run has of its own. */
function shapeOf(text: string): string {
  return text
    .replaceAll(/\d+(\.\d+)*(\/\d+)?/g, "N")
    .replaceAll(/-+/g, "-")
    .replaceAll(/ +/g, " ")
    .replaceAll(/ $/gm, "")
    .trim();
}

const webDeployment = {
  ...{ apiVersion: "apps/v1", kind: "Deployment", metadata: { name: "web", namespace: "default" } },
  spec: {
    ...{ replicas: 0, selector: { matchLabels: { app: "web" } } },
    template: {
      metadata: { labels: { app: "web" } },
      spec: {
        ...{ automountServiceAccountToken: false, terminationGracePeriodSeconds: 1 },
        containers: [{ name: "box", image: images.box, imagePullPolicy: "Never", command: ["sleep", "3600"] }],
      },
    },
  },
};

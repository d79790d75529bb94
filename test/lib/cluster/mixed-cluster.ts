/**
 * The recorded cluster on a real kube-apiserver and a fabric: rig-node is as Felix left it, with the pods that Calico's plugin made; node-b and node-c have our
 * agent, and each a recorded pod too. All is made from the recorded objects.
 */
import { dirname, join } from "node:path";
import { loadConflist } from "../conflist.ts";
import { addressOf, Runner, type Sandbox } from "../runtimes/runner.ts";
import { ourPluginDir, pluginDirs, root } from "../suite.ts";
import { Agent } from "./agent.ts";
import { addCalicoPods, type CalicoPod } from "./calico-pods.ts";
import { Fabric, type FabricNode } from "./fabric.ts";
import { becomeFelix, felixUplinkMtu, type VxlanMode } from "./felix-state.ts";
import { KubeApiserver } from "./kube-apiserver.ts";
import {
  bodyOf,
  felixNode,
  type RecordedObject,
  recordedNodes,
  recordedObjects,
  recordedPlaces,
  recordedPods,
} from "./recorded-cluster.ts";

const calico = "/apis/crd.projectcalico.org/v1";
const pods = "/api/v1/namespaces/default/pods";
export const calicoConflist = loadConflist(join(root, "test/fixtures/10-calico.conflist"));

/** A pod of Calico's plugin or of ours. */
export interface MixedPod {
  readonly on: FabricNode;
  readonly name: string;
  readonly addresses: readonly string[];
  readonly sandbox: Sandbox;
}

export class MixedCluster {
  readonly api: KubeApiserver;
  readonly fabric: Fabric;
  readonly kubeconfig: string;
  readonly calicoPods: readonly CalicoPod[];
  readonly #agents = new Map<string, Agent>();

  private constructor(api: KubeApiserver, fabric: Fabric, kubeconfig: string, calicoPods: readonly CalicoPod[]) {
    this.api = api;
    this.fabric = fabric;
    this.kubeconfig = kubeconfig;
    this.calicoPods = calicoPods;
  }

  static async start(mode: VxlanMode): Promise<MixedCluster> {
    const api = await KubeApiserver.start();
    await api.apply(join(root, "conf-examples/kubernetes/rbac.yaml"));
    const kubeconfig = await api.kubeconfigOf("kube-system", "tortie-node");
    const account = { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "default" } };
    await api.json("POST", "/api/v1/namespaces/default/serviceaccounts", account);
    const fabric = await Fabric.start(recordedPlaces, api.port);
    for (const { node } of fabric.nodes) node.sh(`ip link set eth0 mtu ${felixUplinkMtu}`);
    for (const object of [...recordedNodes(fabric.nodes), ...recordedObjects()]) await create(api, object);
    for (const pod of recordedPods()) {
      const { name, annotations, labels, node } = pod;
      await api.json("POST", pods, podOf(name, node, { annotations, labels }));
    }
    becomeFelix(fabric, mode);
    return new MixedCluster(api, fabric, kubeconfig, addCalicoPods(fabric));
  }

  get felix(): FabricNode {
    return this.fabric.named(felixNode);
  }

  agent(name: string): Agent {
    const found = this.#agents.get(name);
    if (found === undefined) throw new Error(`node ${name} has no agent`);
    return found;
  }

  /** Starts the node's agent, and waits until the network is as it plans it. */
  async begin(name: string): Promise<void> {
    const { node, address4, address6 } = this.fabric.named(name);
    const agent = await Agent.start(
      node,
      {
        ...{ DATASTORE_TYPE: "kubernetes", KUBECONFIG: this.kubeconfig, NODENAME: name, NO_DEFAULT_POOLS: "true" },
        ...{ CALICO_NETWORKING_BACKEND: "vxlan", IP: `${address4}/24`, IP6: `${address6}/64` },
        TORTIE_NET: process.env.TORTIE_NET ?? join(dirname(ourPluginDir), "tortie-net"),
      },
      { hasNetwork: true },
    );
    this.#agents.set(name, agent);
    await agent.says("network is in place");
  }

  /** Of the pool that all pods but two are from, in both families. */
  async setMode(vxlanMode: VxlanMode): Promise<void> {
    for (const name of ["default-ipv4-ippool", "default-ipv6-ippool"]) {
      const path = `${calico}/ippools/${name}`;
      const { status, text } = await this.api.call(
        "PATCH",
        path,
        { spec: { vxlanMode } },
        "application/merge-patch+json",
      );
      if (status !== 200) throw new Error(`cannot change ${name}: ${text}`);
    }
  }

  /** A pod by our plugins and Calico's conflist, which gives IPv4 addresses alone. */
  async addPod(nodeName: string, name: string): Promise<MixedPod> {
    const on = this.fabric.named(nodeName);
    await this.api.json("POST", pods, podOf(name, nodeName, {}));
    const args = [
      ["K8S_POD_NAMESPACE", "default"],
      ["K8S_POD_NAME", name],
    ] as const;
    const sandbox = { containerId: `sandbox-${name}`, netns: on.node.addPod(name), ifname: "eth0", args };
    const address = addressOf(new Runner({ node: on.node, pluginDirs }).add(calicoConflist, sandbox));
    return { on, name, addresses: [address], sandbox };
  }

  /** The objects of a kind, as stored. */
  async stored(plural: string): Promise<readonly RecordedObject[]> {
    return (await this.api.json<{ readonly items: readonly RecordedObject[] }>("GET", `${calico}/${plural}`)).items;
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#agents.values()].map((agent) => agent.stop()));
    await this.fabric.stop();
    await this.api.stop();
  }
}

async function create(api: KubeApiserver, object: RecordedObject): Promise<void> {
  const path = object.kind === "Node" ? "/api/v1/nodes" : `${calico}/${plurals[object.kind]}`;
  const { status, text } = await api.call("POST", path, bodyOf(object));
  if (status !== 201) throw new Error(`cannot create ${object.kind} ${object.metadata.name}: ${text}`);
}

const plurals: Readonly<Record<string, string>> = {
  ...{ IPPool: "ippools", IPAMBlock: "ipamblocks", BlockAffinity: "blockaffinities", IPAMHandle: "ipamhandles" },
};

function podOf(name: string, nodeName: string, metadata: object): object {
  return {
    ...{ apiVersion: "v1", kind: "Pod", metadata: { name, ...metadata } },
    spec: { nodeName, automountServiceAccountToken: false, containers: [{ name: "c", image: "i" }] },
  };
}

/** The pairs of pods between which a packet gets lost: `<pod> to <address>`. */
export function lostBetween(all: readonly MixedPod[]): readonly string[] {
  return all.flatMap((from) => {
    const hasFamily = (address: string) => from.addresses.some((own) => own.includes(":") === address.includes(":"));
    const targets = all.filter((to) => to !== from).flatMap(({ addresses }) => addresses.filter(hasFamily));
    const commands = targets.map((to) => `ping -n -c 1 -W 2 ${to} >/dev/null || echo ${from.name} to ${to}`);
    const lines = from.on.node.sh(commands.join("\n"), { in: from.name }).split("\n");
    return lines.filter((line) => line !== "");
  });
}

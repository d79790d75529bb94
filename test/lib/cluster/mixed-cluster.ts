/**
 * The recorded cluster on a real kube-apiserver and a fabric: rig-node is as Felix left it, with the pods that Calico's plugin made; node-b and node-c have our
 * agent, and each a recorded pod too. All is made from the recorded objects.
 */
import { join } from "node:path";
import { loadConflist } from "../conflist.ts";
import type { Sandbox } from "../runtimes/runner.ts";
import { root } from "../suite.ts";
import type { Agent } from "./agent.ts";
import { addCalicoPods, type CalicoPod } from "./calico-pods.ts";
import type { Fabric, FabricNode } from "./fabric.ts";
import { becomeFelix, felixUplinkMtu, type VxlanMode } from "./felix-state.ts";
import type { KubeApiserver } from "./kube-apiserver.ts";
import { KubernetesFabric } from "./kubernetes-fabric.ts";
import { podOn, podsPath } from "./kubernetes-objects.ts";
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
export const calicoConflist = loadConflist(join(root, "test/fixtures/10-calico.conflist"));

/** A pod of Calico's plugin or of ours. */
export interface MixedPod {
  readonly on: FabricNode;
  readonly name: string;
  readonly addresses: readonly string[];
  readonly sandbox: Sandbox;
}

export class MixedCluster {
  readonly calicoPods: readonly CalicoPod[];
  readonly #cluster: KubernetesFabric;

  private constructor(cluster: KubernetesFabric, calicoPods: readonly CalicoPod[]) {
    this.#cluster = cluster;
    this.calicoPods = calicoPods;
  }

  static async start(mode: VxlanMode): Promise<MixedCluster> {
    const cluster = await KubernetesFabric.start(recordedPlaces);
    try {
      return await MixedCluster.#of(cluster, mode);
    } catch (error) {
      await cluster.stop();
      throw error;
    }
  }

  static async #of(cluster: KubernetesFabric, mode: VxlanMode): Promise<MixedCluster> {
    const { api, fabric } = cluster;
    for (const { node } of fabric.nodes) node.sh(`ip link set eth0 mtu ${felixUplinkMtu}`);
    for (const object of [...recordedNodes(fabric.nodes), ...recordedObjects()]) await create(api, object);
    for (const pod of recordedPods()) {
      const { name, annotations, labels, node } = pod;
      await api.json("POST", podsPath, podOn(node, name, { annotations, labels }));
    }
    becomeFelix(fabric, mode);
    return new MixedCluster(cluster, addCalicoPods(fabric));
  }

  get api(): KubeApiserver {
    return this.#cluster.api;
  }

  get fabric(): Fabric {
    return this.#cluster.fabric;
  }

  get kubeconfig(): string {
    return this.#cluster.kubeconfig;
  }

  get felix(): FabricNode {
    return this.fabric.named(felixNode);
  }

  agent(name: string): Agent {
    return this.#cluster.agents.of(name);
  }

  /** Starts the node's agent, and waits until the network is as it plans it. */
  async begin(name: string): Promise<void> {
    const IP6 = `${this.fabric.named(name).address6}/64`;
    await this.#cluster.begin(name, { CALICO_NETWORKING_BACKEND: "vxlan", IP6, NO_DEFAULT_POOLS: "true" });
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
    const { address, sandbox } = await this.#cluster.addPod(calicoConflist, nodeName, name);
    return { on, name, addresses: [address], sandbox };
  }

  /** The objects of a kind, as stored. */
  async stored(plural: string): Promise<readonly RecordedObject[]> {
    return (await this.api.json<{ readonly items: readonly RecordedObject[] }>("GET", `${calico}/${plural}`)).items;
  }

  async stop(): Promise<void> {
    await this.#cluster.stop();
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

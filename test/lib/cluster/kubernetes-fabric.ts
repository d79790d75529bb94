/** A `Fabric` whose datastore is a real kube-apiserver, with agents that have the rights of their role and no others. */
import type { Conflist } from "../conflist.ts";
import { addressOf, Runner, type Sandbox } from "../runtimes/runner.ts";
import { pluginDirs } from "../suite.ts";
import { Fabric, type Place } from "./fabric.ts";
import { FabricAgents } from "./fabric-agents.ts";
import { KubeApiserver } from "./kube-apiserver.ts";
import { agentRole, createDefaultAccount, createNode, podOn, podsPath } from "./kubernetes-objects.ts";

export interface ServerOptions {
  /** Whether the server has the schemas of a cluster with Calico, as recorded; the default. */
  readonly schemas?: boolean;
  /** Gives the agents their account and its rights; by default as the example has them. */
  readonly prepare?: (api: KubeApiserver) => Promise<unknown>;
}

/** A pod by our plugins. */
export interface AddedPod {
  readonly address: string;
  readonly sandbox: Sandbox;
}

export class KubernetesFabric {
  readonly api: KubeApiserver;
  readonly fabric: Fabric;
  /** Of the agents' account. */
  readonly kubeconfig: string;
  readonly agents = new FabricAgents();

  private constructor(api: KubeApiserver, fabric: Fabric, kubeconfig: string) {
    this.api = api;
    this.fabric = fabric;
    this.kubeconfig = kubeconfig;
  }

  static async start(
    places: readonly Place[],
    { schemas = true, prepare = (api) => api.apply(agentRole) }: ServerOptions = {},
  ): Promise<KubernetesFabric> {
    const api = await KubeApiserver.start({ schemas });
    try {
      await prepare(api);
      await createDefaultAccount(api);
      const kubeconfig = await api.kubeconfigOf("kube-system", "tortie-node");
      return new KubernetesFabric(api, await Fabric.start(places, api.port), kubeconfig);
    } catch (error) {
      await api.stop();
      throw error;
    }
  }

  /** Registers every node and starts its agent, one after the other. */
  async beginAll(settings: Readonly<Record<string, string>>): Promise<void> {
    for (const { name } of this.fabric.nodes) {
      await createNode(this.api, name);
      await this.begin(name, settings);
    }
  }

  /** Starts the node's agent, in place of one that ended, and waits until it says the line. */
  async begin(name: string, settings: Readonly<Record<string, string>>, line = "network is in place"): Promise<void> {
    const on = this.fabric.named(name);
    const datastore = { DATASTORE_TYPE: "kubernetes", KUBECONFIG: this.kubeconfig, IP: `${on.address4}/24` };
    await this.agents.begin(on, { ...datastore, ...settings }, line);
  }

  async addPod(conflist: Conflist, nodeName: string, name: string): Promise<AddedPod> {
    await this.api.json("POST", podsPath, podOn(nodeName, name));
    const { node } = this.fabric.named(nodeName);
    const args = [
      ["K8S_POD_NAMESPACE", "default"],
      ["K8S_POD_NAME", name],
    ] as const;
    const sandbox = { containerId: `id-${name}`, netns: node.addPod(name), ifname: "eth0", args };
    return { address: addressOf(this.runner(nodeName).add(conflist, sandbox)), sandbox };
  }

  /** The node's runtime. */
  runner(nodeName: string): Runner {
    return new Runner({ node: this.fabric.named(nodeName).node, pluginDirs });
  }

  async stop(): Promise<void> {
    await this.agents.stop();
    await this.fabric.stop();
    await this.api.stop();
  }
}

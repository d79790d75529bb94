/** A `Fabric` of three nodes whose datastore is a real etcd, with their agents. */
import type { Agent } from "./agent.ts";
import { Etcd } from "./etcd.ts";
import { Fabric } from "./fabric.ts";
import { FabricAgents } from "./fabric-agents.ts";
import { type FabricPod, threePlaces } from "./fabric-pods.ts";

const resources = "/calico/resources/v3/projectcalico.org";

/** VXLAN in both families, and natOutgoing in both. */
export const vxlanSettings: Readonly<Record<string, string>> = {
  ...{ CALICO_NETWORKING_BACKEND: "vxlan", CALICO_IPV4POOL_VXLAN: "Always" },
  ...{ CALICO_IPV6POOL_VXLAN: "Always", CALICO_IPV6POOL_NAT_OUTGOING: "true" },
};

export class EtcdFabric {
  readonly etcd: Etcd;
  readonly fabric: Fabric;
  readonly #agents = new FabricAgents();

  private constructor(etcd: Etcd, fabric: Fabric) {
    this.etcd = etcd;
    this.fabric = fabric;
  }

  static async start(): Promise<EtcdFabric> {
    const etcd = await Etcd.start();
    return new EtcdFabric(etcd, await Fabric.start(threePlaces, Number(new URL(etcd.endpoint).port)));
  }

  agent(name: string): Agent {
    return this.#agents.of(name);
  }

  /** Starts the node's agent, in place of one that ended, and waits until it says the line. */
  async begin(name: string, settings: Readonly<Record<string, string>>, line: string): Promise<void> {
    const on = this.fabric.named(name);
    const ours = {
      ...{ ETCD_ENDPOINTS: this.etcd.endpoint, IP: `${on.address4}/24`, IP6: `${on.address6}/64` },
      ...{ CALICO_IPV4POOL_CIDR: "192.168.0.0/16", CALICO_IPV6POOL_CIDR: "fd00:10:244::/64" },
      // On a slow machine its first read may take longer than an agent otherwise waits.
      WAIT_FOR_DATASTORE: "true",
    };
    await this.#agents.begin(on, { ...ours, ...settings }, line);
  }

  /** Replaces an object of the cluster. */
  async put(kind: string, plural: string, name: string, spec: object): Promise<void> {
    const object = { apiVersion: "projectcalico.org/v3", kind, metadata: { name }, spec };
    await this.etcd.put(`${resources}/${plural}/${name}`, JSON.stringify(object));
  }

  async remove(plural: string, name: string): Promise<void> {
    await this.etcd.clear(`${resources}/${plural}/${name}`);
  }

  /** Replaces a FelixConfiguration. */
  configure(spec: object, name = "default"): Promise<void> {
    return this.put("FelixConfiguration", "felixconfigurations", name, spec);
  }

  /** Changes fields of a Node's BGP, and its labels, as an administrator does. */
  async changeNode(name: string, bgp: object, labels: Readonly<Record<string, string>> = {}): Promise<void> {
    const [[key = "", text = ""] = []] = Object.entries(await this.etcd.dump(`${resources}/nodes/${name}`));
    const node = JSON.parse(text) as { readonly metadata: object; readonly spec: { readonly bgp: object } };
    const spec = { ...node.spec, bgp: { ...node.spec.bgp, ...bgp } };
    await this.etcd.put(key, JSON.stringify({ ...node, metadata: { ...node.metadata, labels }, spec }));
  }

  /** Changes fields of all pools, as an administrator does. */
  async changePools(changes: object): Promise<void> {
    for (const [key, value] of Object.entries(await this.etcd.dump(`${resources}/ippools/`))) {
      const pool = JSON.parse(value) as { readonly spec: object };
      await this.etcd.put(key, JSON.stringify({ ...pool, spec: { ...pool.spec, ...changes } }));
    }
  }

  /** The blocks of a node. */
  async blocksOf(name: string): Promise<readonly string[]> {
    const values = Object.values(await this.etcd.dump("/calico/ipam/v2/assignment/"));
    const blocks = values.map((value) => JSON.parse(value) as { readonly cidr: string; readonly affinity: string });
    return blocks.filter(({ affinity }) => affinity === `host:${name}`).map(({ cidr }) => cidr);
  }

  /**
   * Gives the router, as its administrator does, a route to each block by the address of its node; or takes them from it again. It also answers for
   * nodes in the other subnet, to which pools without encapsulation have routes over the uplink.
   */
  async routeBlocks(isRouted: boolean): Promise<void> {
    const { router, nodes } = this.fabric;
    const flag = isRouted ? 1 : 0;
    router.sh(
      `for f in subnet1 subnet2; do echo ${flag} >/proc/sys/net/ipv4/conf/$f/proxy_arp; echo ${flag} >/proc/sys/net/ipv6/conf/$f/proxy_ndp; done`,
    );
    for (const { name, address4, address6, subnet } of nodes) {
      for (const cidr of await this.blocksOf(name)) {
        const via = cidr.includes(":") ? address6 : address4;
        router.sh(`ip route ${isRouted ? "replace" : "delete"} ${cidr} via ${via}`);
      }
      router.sh(`ip -6 neigh ${isRouted ? "replace" : "delete"} proxy ${address6} dev subnet${3 - subnet}`);
    }
  }

  /** Changes fields of a pod's endpoint, as another program than its plugin does. */
  async changeEndpoint({ on, hostInterface }: FabricPod, changes: object): Promise<void> {
    for (const [key, value] of Object.entries(await this.etcd.dump(`${resources}/workloadendpoints/`))) {
      const endpoint = JSON.parse(value) as {
        readonly spec: { readonly interfaceName: string; readonly node: string };
      };
      const { interfaceName, node } = endpoint.spec;
      if (interfaceName !== hostInterface || node !== on.name) continue;
      await this.etcd.put(key, JSON.stringify({ ...endpoint, spec: { ...endpoint.spec, ...changes } }));
    }
  }

  async setFloating(pod: FabricPod, externals: readonly string[]): Promise<void> {
    const internalFor = (externalIP: string) => (externalIP.includes(":") ? pod.address6 : pod.address4);
    const ipNATs = externals.map((externalIP) => ({ externalIP, internalIP: internalFor(externalIP) }));
    await this.changeEndpoint(pod, { ipNATs });
  }

  async stop(): Promise<void> {
    await this.#agents.stop();
    await this.fabric.stop();
    await this.etcd.stop();
  }
}

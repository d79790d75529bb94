/** BIRD on the nodes of a `Fabric`, and on its router, which is then their top-of-rack peer and learns all routes to pods from them. */
import { writeFileSync } from "node:fs";
import type { BgpSessionMessage } from "../../../src/node-protocol/messages.ts";
import { birdProgram } from "../node/bird.ts";
import type { Agent } from "./agent.ts";
import type { EtcdFabric } from "./etcd-fabric.ts";
import type { Fabric, FabricNode } from "./fabric.ts";

/** The AS numbers of the nodes, by subnet; the router's is 65000. */
export const asOf = { 1: 64_601, 2: 64_602 } as const;

/** The agent's log line. */
export const birdRuns = "BIRD runs with the cluster's configuration";

/** The settings of an agent with BIRD, which enters the node's process namespace, and so ends with the node. */
export function birdSettings({ node }: FabricNode): Readonly<Record<string, string>> {
  node.sh(
    `printf '#!/bin/sh\\nexec nsenter --pid=/proc/1/ns/pid -- ${birdProgram} "$@"\\n' >/run/bird; chmod +x /run/bird`,
  );
  return { CALICO_NETWORKING_BACKEND: "bird", TORTIE_BIRD: "/run/bird" };
}

/** The sessions of a node, as its agent reports them. */
export async function sessionsOf(agent: Agent, nodename: string): Promise<readonly BgpSessionMessage[]> {
  const reply = await agent.ask({ op: "node", nodename });
  return ("result" in reply && reply.result.node?.bgp) || [];
}

/** The node reflects the routes of all others, which have a session with it alone. */
export async function reflectBy(cluster: EtcdFabric, reflector: string): Promise<void> {
  await cluster.changeNode(reflector, { routeReflectorClusterID: "244.0.0.1" }, { "route-reflector": "true" });
  const isReflector = "route-reflector == 'true'";
  await cluster.put("BGPPeer", "bgppeers", "reflector", { nodeSelector: "all()", peerSelector: isReflector });
  await cluster.put("BGPConfiguration", "bgpconfigurations", "default", { nodeToNodeMeshEnabled: false });
}

/** Ends that: the nodes have no sessions. */
export async function reflectNoMore(cluster: EtcdFabric, reflector: string): Promise<void> {
  await cluster.changeNode(reflector, { routeReflectorClusterID: undefined });
  await cluster.remove("bgppeers", "reflector");
}

export function startRouterBird({ router }: Fabric): void {
  writeFileSync(router.outerPath("/run/bird.conf"), routerConfig);
  router.start([birdProgram, "-f", "-c", "/run/bird.conf", "-s", "/run/bird.ctl"]);
}

/** A switch between the racks, of another AS. */
const routerConfig = `
log stderr { error, fatal, bug };
router id 203.0.113.1;
protocol device {}
protocol direct { ipv4; ipv6; }
protocol kernel { scan time 1; ipv4 { import none; export where source = RTS_BGP; }; }
protocol kernel { scan time 1; ipv6 { import none; export where source = RTS_BGP; }; }
${[
  ["a", 1, 1],
  ["b", 1, 2],
  ["c", 2, 1],
]
  .flatMap(([name, subnet, host]) => [
    `protocol bgp ${name}4 { local as 65000; neighbor 10.${subnet}.0.${host} as ${asOf[subnet as 1 | 2]};
  ipv4 { import all; export where source = RTS_BGP; next hop self; }; }`,
    `protocol bgp ${name}6 { local as 65000; neighbor 2001:db8:${subnet}::${host} as ${asOf[subnet as 1 | 2]};
  ipv6 { import all; export where source = RTS_BGP; next hop self; }; }`,
  ])
  .join("\n")}
`;

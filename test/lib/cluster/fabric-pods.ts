/** Pods of the real plugins on the nodes of a `Fabric`, whose addresses come from etcd. */
import { parseConflist } from "../conflist.ts";
import { outsideAddress4, outsideAddress6 } from "../node/netns.ts";
import { ask, serve } from "../node/traffic.ts";
import { Runner } from "../runtimes/runner.ts";
import { pluginDirs } from "../suite.ts";
import type { Fabric, FabricNode } from "./fabric.ts";

/** Two nodes in one subnet, and one in the other. */
export const threePlaces = [
  { name: "node-a", subnet: 1, host: 1 },
  { name: "node-b", subnet: 1, host: 2 },
  { name: "node-c", subnet: 2, host: 1 },
] as const;

export interface FabricPod {
  readonly on: FabricNode;
  readonly name: string;
  readonly addresses: readonly string[];
  /** "" if it has none. */
  readonly address4: string;
  readonly address6: string;
  readonly hostInterface: string;
  /** CHECK, and DEL; each throws the plugin's error. */
  readonly check: () => void;
  readonly remove: () => void;
}

/** Of pods with addresses of these families. */
function conflistOf(families: readonly (4 | 6)[]): string {
  const assign = (family: 4 | 6) => `${families.includes(family)}`;
  const ipam = { type: "calico-ipam", assign_ipv4: assign(4), assign_ipv6: assign(6) };
  const plugin = { type: "calico", datastore_type: "etcdv3", ipam };
  return JSON.stringify({ name: "net", cniVersion: "1.0.0", plugins: [plugin] });
}
export const fabricConflist = conflistOf([4, 6]);

export function addFabricPod(on: FabricNode, name: string, families: readonly (4 | 6)[] = [4, 6]): FabricPod {
  const conflist = parseConflist(conflistOf(families));
  const sandbox = { containerId: `c-${name}`, netns: on.node.addPod(name), ifname: "eth0" };
  const runner = new Runner({ node: on.node, pluginDirs });
  const result = runner.add(conflist, sandbox);
  const { ips = [], interfaces = [] } = result;
  const addresses = ips.map(({ address }) => address.replace(/\/.*/, ""));
  const address4 = addresses.find((address) => !address.includes(":")) ?? "";
  const address6 = addresses.find((address) => address.includes(":")) ?? "";
  return {
    ...{ on, name, addresses, address4, address6, hostInterface: interfaces[0]?.name ?? "" },
    check: () => void runner.check(conflist, sandbox),
    remove: () => void runner.del(conflist, sandbox),
  };
}

const outsidePort = 8080;

/** Begins a service behind the router, which says who asks. Nothing out there has a route to a pod. */
export function serveOutside({ router }: Fabric): void {
  serve(router, "outside", outsidePort, "outside");
}

/** What it says to the pod. */
export function askOutside({ on, name }: FabricPod, family: 4 | 6): string {
  return ask(on.node, name, family === 4 ? outsideAddress4 : outsideAddress6, outsidePort);
}

/** The pairs of pods with a family in common between which a packet gets lost: `<pod> to <address>`. */
export function unreached(pods: readonly Pick<FabricPod, "on" | "name" | "addresses">[]): readonly string[] {
  return pods.flatMap((from) => {
    const hasFamily = (address: string) => from.addresses.some((own) => own.includes(":") === address.includes(":"));
    const targets = pods.filter((to) => to !== from).flatMap(({ addresses }) => addresses.filter(hasFamily));
    const commands = targets.map((to) => `ping -n -c 1 -W 2 ${to} >/dev/null || echo ${from.name} to ${to}`);
    const lines = from.on.node.sh(commands.join("\n"), { in: from.name }).split("\n");
    return lines.filter((line) => line !== "");
  });
}

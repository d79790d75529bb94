/**
 * Pods as Calico's plugin makes them (its dataplane for Linux, in that order), with the addresses, interfaces and host routes of the recording. They differ from
 * ours in what the kernel keeps of them: no alias names an owner, no neighbour entry is permanent, and the pod's MAC address is the kernel's.
 */
import type { Sandbox } from "../runtimes/runner.ts";
import type { Fabric, FabricNode } from "./fabric.ts";
import { podMtu, recordedPodRoutes, recordedSysctls } from "./felix-state.ts";
import { type RecordedPod, recordedPods } from "./recorded-cluster.ts";

export interface CalicoPod extends RecordedPod {
  readonly on: FabricNode;
  readonly hostInterface: string;
  readonly sandbox: Sandbox;
}

const hostMac = "ee:ee:ee:ee:ee:ee";
const gateway4 = "169.254.1.1";
const gateway6 = "fe80::ecee:eeff:feee:eeee";

/** Every recorded pod, on its node. */
export function addCalicoPods(fabric: Fabric): readonly CalicoPod[] {
  const routes = recordedPodRoutes();
  return recordedPods().map((pod) => {
    const on = fabric.named(pod.node);
    const { hostInterface, route } = routes.get(pod.addresses[0] ?? "") ?? {};
    if (hostInterface === undefined || route === undefined) throw new Error(`no route was recorded for ${pod.name}`);
    const netns = on.node.addPod(pod.name);
    on.node.sh(commandsOf(pod, hostInterface, route).join("\n"));
    const args = [
      ["K8S_POD_NAMESPACE", "default"],
      ["K8S_POD_NAME", pod.name],
    ] as const;
    return { ...pod, on, hostInterface, sandbox: { containerId: pod.containerId, netns, ifname: "eth0", args } };
  });
}

function commandsOf({ name, addresses }: RecordedPod, hostInterface: string, route: string): readonly string[] {
  const v6 = addresses.filter((address) => address.includes(":"));
  const size = `mtu ${podMtu()} numtxqueues 1 numrxqueues 1`;
  const inPod = (command: string) => `ip netns exec ${name} ${command}`;
  return [
    `ip link add ${hostInterface} address ${hostMac} ${size} type veth peer name eth0 ${size} netns ${name}`,
    ...recordedSysctls(hostInterface),
    ...(v6.length > 0 ? ipv6Sysctls(hostInterface).map((setting) => `sysctl -q -w ${setting}`) : []),
    `sysctl -q -w net.ipv6.conf.${hostInterface}.accept_ra=0`,
    `ip link set ${hostInterface} addrgenmode eui64 up`,
    ...(v6.length > 0 ? [inPod("sysctl -q -w net.ipv6.conf.eth0.accept_dad=0")] : []),
    `ip -n ${name} link set eth0 up`,
    `ip -n ${name} route add ${gateway4} dev eth0 scope link`,
    `ip -n ${name} route add default via ${gateway4} dev eth0`,
    ...(v6.length > 0 ? [`ip -n ${name} -6 route add default via ${gateway6} dev eth0`] : []),
    ...addresses.map((address) => `ip -n ${name} address add ${address} dev eth0`),
    inPod("sysctl -q -w net.ipv4.ip_forward=0"),
    `ip route replace ${route}`,
    ...v6.map((address) => `ip -6 route replace ${address} dev ${hostInterface}`),
  ];
}

function ipv6Sysctls(hostInterface: string): readonly string[] {
  const conf = `net.ipv6.conf.${hostInterface}`;
  return [`${conf}.accept_dad=0`, `${conf}.disable_ipv6=0`, `${conf}.proxy_ndp=1`, `${conf}.forwarding=1`];
}

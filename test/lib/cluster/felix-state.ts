/**
 * A node as Felix leaves it: what it recorded (`test/fixtures/calico-newest/felix`) as the commands that make it on a node of a fabric. **Calico's programs do
 * not run**: the node stays as it is.
 *
 * The addresses are those of `recorded-cluster.ts`, the uplink is the fabric's. IPv6 is the recorded state with mapped addresses, on `vxlan-v6.calico`.
 */
import { vxlanMacOf } from "../../../src/cluster-network/network-node.ts";
import { vxlanDevices } from "../../../src/identity/names.ts";
import { uplink as recordedUplink, recordingOf, section } from "../../unit/agent/network/felix-recording.ts";
import type { Fabric } from "./fabric.ts";
import { felixNode, inIpv6, recordedNodeFacts } from "./recorded-cluster.ts";

export type VxlanMode = "Always" | "CrossSubnet" | "Never";

const families = [4, 6] as const;
const uplink = "eth0";
/** What an outer header of VXLAN takes more over IPv6. */
const moreOverIpv6 = 20;
/** Of the uplinks, so that the recorded MTUs are right. */
export const felixUplinkMtu = recordedUplink.mtu;
/** Where Felix writes the MTU of pods, and where plugins read it. */
const mtuFile = "/var/lib/calico/mtu";

/** Makes the node's state, in place of that of another mode. */
export function becomeFelix(fabric: Fabric, mode: VxlanMode): void {
  const { node, name } = fabric.named(felixNode);
  const remove = Object.values(vxlanDevices).map((device) => `ip link del ${device} 2>/dev/null || true`);
  const routes = families.map((family) => `ip -${family} route flush proto 80 || true`);
  node.sh([...remove, ...routes, ...commandsOf(fabric, mode)].join("\n"));
  node.sh(`mkdir -p /var/lib/calico; printf ${name} > /var/lib/calico/nodename; printf ${podMtu()} > ${mtuFile}`);
}

/** Repeats what it does at its start: every object once more, whether or not it is there. */
export function restartFelix(fabric: Fabric, mode: VxlanMode): void {
  fabric.named(felixNode).node.sh(commandsOf(fabric, mode).join("\n").replaceAll("ip link add ", "true "));
}

/** Of the recording, less for a tunnel over IPv6. */
export function podMtu(): number {
  return Number(/ mtu (\d+) /.exec(section(recordingOf("Always"), "ip -d link")[0] ?? "")?.[1]) - moreOverIpv6;
}

function commandsOf(fabric: Fabric, mode: VxlanMode): readonly string[] {
  return ["sysctl -q -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1", ...families.flatMap(ofFamily)];

  function ofFamily(family: 4 | 6): readonly string[] {
    const lines = (command: string) => section(recordingOf(mode), command).map((line) => translated(line, family));
    return [
      ...deviceOf(lines("ip -d link")),
      ...lines("ip addr").flatMap((line) => addressOf(line, family)),
      ...lines("bridge fdb").map((line) =>
        line.replace(/^(\S+) (.*)$/, `bridge fdb replace $1 dev ${vxlanDevices[family]} $2`),
      ),
      ...lines("ip neigh").map((line) =>
        line.replace(/^(\S+) (lladdr \S+).*$/, `ip neigh replace $1 $2 dev ${vxlanDevices[family]} nud permanent`),
      ),
      ...lines("ip -d route")
        .filter(isFelixRoute(family))
        .map((line) => `ip -${family} route replace ${line}`),
    ];
  }

  function translated(line: string, family: 4 | 6): string {
    const named = line.replaceAll(recordedUplink.name, uplink);
    const own = recordedNodeFacts().reduce((text, { name, address, mac }) => {
      const { address4, address6 } = fabric.named(name);
      return family === 4
        ? replaceWord(text, address, address4)
        : replaceWord(text, address, address6).replaceAll(mac, vxlanMacOf(name, 6));
    }, named);
    if (family === 4) return own;
    const mapped = inIpv6(own)
      .replaceAll(vxlanDevices[4], vxlanDevices[6])
      .replace(/ ?scope global/, "");
    return mapped.replace(/ mtu (\d+)/, (_, mtu: string) => ` mtu ${Number(mtu) - moreOverIpv6}`);
  }
}

function replaceWord(text: string, from: string, to: string): string {
  return text.replaceAll(new RegExp(`(?<![\\d.])${from.replaceAll(".", "\\.")}(?![\\d.])`, "g"), to);
}

/** From the three lines of `ip -d link`. */
function deviceOf([first = "", second = "", third = ""]: readonly string[]): readonly string[] {
  const [, name, mtu] = /^\d+: (\S+): .* mtu (\d+) /.exec(first) ?? [];
  const mac = /^link\/ether (\S+)/.exec(second)?.[1];
  const [, vxlan, generation] = /^(vxlan id .*) addrgenmode (\S+)/.exec(third) ?? [];
  return [
    `ip link add ${name} address ${mac} mtu ${mtu} type ${vxlan}`,
    `ip link set ${name} addrgenmode ${generation} up`,
  ];
}

/** From a line of `ip addr`; those of the kernel are left out. */
function addressOf(line: string, family: 4 | 6): readonly string[] {
  const [, address, link] = /^inet (\S+) .*?(\S+)$/.exec(line) ?? [];
  if (address === undefined) return [];
  return [`ip address replace ${address} dev ${link}${family === 6 ? " nodad" : ""}`];
}

/** Routes of the node between nodes: not those of its pods, and not those of the machine. */
function isFelixRoute(family: 4 | 6): (line: string) => boolean {
  const isOther = (line: string) => / dev cali| default | proto kernel /.test(` ${line}`);
  return (line) => !isOther(line) && (family === 4 || line.includes("fd00:10:244:"));
}

/** The name of the interface and the recorded route of each pod of the node, by the pod's address. */
export function recordedPodRoutes(): ReadonlyMap<string, { readonly hostInterface: string; readonly route: string }> {
  const lines = section(recordingOf("Always"), "ip -d route").filter((line) => line.includes(" dev cali"));
  return new Map(
    lines.map((line) => {
      const [, address = "", hostInterface = ""] = /^unicast (\S+) dev (\S+)/.exec(line) ?? [];
      return [address, { hostInterface, route: line }];
    }),
  );
}

/** Of a pod's interface, as commands. */
export function recordedSysctls(hostInterface: string): readonly string[] {
  const lines = section(recordingOf("Always"), "sysctls of a cali interface");
  return lines.map((line) => {
    const [, name, value = line] = /^(\w+) (\d+)$/.exec(line) ?? [];
    // The last one is a number alone: the delay of proxied answers.
    return name === undefined
      ? `sysctl -q -w net.ipv4.neigh.${hostInterface}.proxy_delay=${value}`
      : `sysctl -q -w net.ipv4.conf.${hostInterface}.${name}=${value}`;
  });
}

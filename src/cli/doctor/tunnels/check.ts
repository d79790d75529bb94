/** Faults of tunnels that the node agent cannot see: the network around it, firewalls, and programs that take its devices for theirs. */
import { hostInterfacePrefix } from "../../../identity/names.ts";
import { addressBytes, familyOf } from "../../../net/address.ts";
import { addressOf, contains } from "../../../net/prefix.ts";
import { type Finding, findingsIn } from "../finding.ts";
import type { AgentFacts } from "../node-agent.ts";
import { plural } from "../plural.ts";
import { belongsTo, describePlace } from "../reach/check-firewall.ts";
import { commandsToAllow, culpritsOf, describeBase } from "../reach/culprits.ts";
import type { ReachFacts, ReachPod } from "../reach/facts.ts";
import { type FilterPosition, matchesFamily, type Packet, walk } from "../reach/filter.ts";
import { headerOf, type TunnelFact, type TunnelFacts } from "./facts.ts";

export function checkTunnels(facts: TunnelFacts, agent: AgentFacts, reach: ReachFacts): readonly Finding[] {
  return [
    ...facts.devices.flatMap((device) => checkMtu(device, facts, clusterPods(agent, reach))),
    ...facts.devices.flatMap((device) => checkInterface(device, facts)),
    ...checkPath(facts),
    ...facts.devices.flatMap((device) => checkPort(device, facts, reach)),
    ...facts.devices.flatMap((device) => checkForward(device, agent, reach)),
    ...checkManaged(facts),
    ...checkStrict(facts, agent),
    ...checkClusterCidr(facts, agent),
  ];
}

const finding = findingsIn("reach");

/** Those with an address of the cluster's pools: others use no tunnel. */
function clusterPods({ nat }: AgentFacts, { pods }: ReachFacts): readonly ReachPod[] {
  return pods.filter(({ address }) => nat?.pools.some(({ cidr }) => contains(cidr, address)) === true);
}

function checkMtu(
  { name, kind, family, mtu, underlay }: TunnelFact,
  { mtus }: TunnelFacts,
  pods: readonly ReachPod[],
): readonly Finding[] {
  const most = underlay === undefined ? mtu : underlay.mtu - headerOf[kind][family];
  if (mtu > most) {
    const why = `has MTU ${mtu}, but ${underlay?.link} has ${underlay?.mtu}, which leaves ${most} for packets of pods: larger ones get lost`;
    return [finding("tunnel-mtu", name, why, `ip link set dev ${name} mtu ${most}`)];
  }
  const links = new Set(pods.filter((pod) => pod.family === family).map(({ hostInterface }) => hostInterface));
  const larger = [...links].flatMap((link) => ((mtus.get(link) ?? 0) > mtu ? [[link, mtus.get(link)] as const] : []));
  if (larger.length === 0) return [];
  const names = larger.slice(0, 3).map(([link, own]) => `${link} (${own})`);
  const rest = larger.length > names.length ? ` and ${larger.length - names.length} more` : "";
  return [
    finding(
      "tunnel-mtu",
      name,
      `has MTU ${mtu}, and pods have more: ${names.join(", ")}${rest}: large packets to other nodes depend on ICMP messages that firewalls often drop, so connections hang`,
      `# remove "mtu" from the conflist, or make it ${mtu}; it applies to new pods`,
      "warning",
    ),
  ];
}

/** VXLAN leaves by its own interface, whatever the routes say. */
function checkInterface({ name, underlay }: TunnelFact, { peers }: TunnelFacts): readonly Finding[] {
  if (underlay === undefined) return [];
  const own = peers.filter(({ device }) => device === name);
  const astray = own.find(({ hasOwnRoute }) => !hasOwnRoute);
  if (astray !== undefined) {
    return [
      finding(
        "tunnel-interface",
        name,
        `sends by ${underlay.link}, which has this node's address ${underlay.address}, but the way to the node ${astray.address} is by ${astray.link}: the address was detected on the wrong interface`,
        `# give tortie-node IP_AUTODETECTION_METHOD=can-reach=${astray.address}, or IP, and restart it`,
      ),
    ];
  }
  const cut = own.find(({ link }) => link === undefined);
  if (cut === undefined) return [];
  const text = `leads to the node ${cut.address}, to which this node has no route: no packet reaches it`;
  return [finding("tunnel-interface", name, text, `# add a route to ${cut.address}`)];
}

function checkPath({ devices, peers }: TunnelFacts): readonly Finding[] {
  const lost = peers.filter(({ answers }) => answers?.small === true && !answers.full);
  return lost.slice(0, 1).flatMap(({ address, device }) => {
    const found = devices.find(({ name }) => name === device);
    const mtu = found?.underlay?.mtu;
    if (found === undefined || mtu === undefined) return [];
    const setting = found.family === 4 ? "FELIX_VXLANMTU" : "FELIX_VXLANMTUV6";
    return [
      finding(
        "path-mtu",
        address,
        `answers small packets, but none of ${mtu} bytes, the MTU of ${found.underlay?.link}: large packets of pods to that node get lost, so connections hang`,
        `# set the MTU of ${found.underlay?.link} to what the network carries (tracepath ${address} tells), or ${setting} of tortie-node to ${headerOf.vxlan[found.family]} less; the kernel remembers what it learned of the way for ten minutes`,
      ),
    ];
  });
}

/** The decision of the rules at one hook, if they drop the packet whatever their unknown parts do. */
function droppedBy({ chains }: ReachFacts, hook: "input" | "forward", packet: Packet): FilterPosition | undefined {
  const passed = chains.filter((base) => base.hook === hook && matchesFamily(base, packet));
  return passed.map((base) => walk(base, packet)).find(({ accept }) => !accept)?.places[0];
}

function checkPort(
  { name, family, underlay }: TunnelFact,
  { peers }: TunnelFacts,
  reach: ReachFacts,
): readonly Finding[] {
  const peer = peers.find(({ device }) => device === name);
  if (underlay === undefined || peer === undefined) return [];
  const place = droppedBy(reach, "input", {
    ...{ family, protocol: "udp", state: "new", iif: underlay.link, oif: undefined },
    ...{ saddr: addressBytes(peer.address), daddr: addressBytes(underlay.address) },
  });
  if (place === undefined) return [];
  const culprits = culpritsOf(place, reach.services);
  const text = `drops VXLAN of other nodes (UDP ${underlay.port}), by ${describePlace(place)}; ${belongsTo(culprits, place)}: nothing reaches pods here`;
  const remedy = commandsToOpen(place, culprits, family, underlay.port);
  return [finding("tunnel-port-closed", describeBase(place.base), text, remedy)];
}

/** Shell commands that let packets of tunnels pass: VXLAN by its UDP port, IPIP by its protocol. */
export function commandsToOpen(
  { base }: FilterPosition,
  culprits: readonly string[],
  family: 4 | 6,
  port: number | "ipip",
): string {
  const isIpip = port === "ipip";
  if (culprits.includes("firewalld")) {
    const option = isIpip ? "--add-protocol=ipencap" : `--add-port=${port}/udp`;
    return [`firewall-cmd ${option}`, `firewall-cmd --permanent ${option}`].join("\n");
  }
  if (culprits.includes("ufw") && base.backend !== "nft" && !isIpip) return `ufw allow ${port}/udp`;
  if (base.backend === "nft") {
    const match = isIpip ? "meta l4proto 4" : `udp dport ${port}`;
    return `nft insert rule ${base.family} ${base.table} ${base.name} ${match} accept`;
  }
  const program = `${family === 4 ? "iptables" : "ip6tables"}${base.backend === "iptables-legacy" ? "-legacy" : ""}`;
  return `${program} -I ${base.name} -p ${isIpip ? "4" : `udp --dport ${port}`} -j ACCEPT`;
}

/** A firewall with zones knows the uplink, and rejects what comes by an interface of no zone. */
function checkForward({ name, family }: TunnelFact, { nat }: AgentFacts, reach: ReachFacts): readonly Finding[] {
  const pools = (nat?.pools ?? []).filter((pool) => pool.family === family).map(({ cidr }) => cidr);
  const pod = reach.pods.find(({ address }) => pools.some((cidr) => contains(cidr, address)));
  const far = pools.find((cidr) => pod !== undefined && contains(cidr, pod.address));
  if (pod === undefined || far === undefined) return [];
  const [own, other] = [addressBytes(pod.address), addressBytes(addressOf(far))];
  const common = { family, protocol: "tcp", state: "new" } as const;
  const packets = [
    { ...common, iif: name, oif: pod.hostInterface, saddr: other, daddr: own },
    { ...common, iif: pod.hostInterface, oif: name, saddr: own, daddr: other },
  ];
  const place = packets.map((packet) => droppedBy(reach, "forward", packet)).find((one) => one !== undefined);
  if (place === undefined) return [];
  const culprits = culpritsOf(place, reach.services);
  const text = `drops packets between pods here and ${name}, by ${describePlace(place)}; ${belongsTo(culprits, place)}: pods of other nodes and pods here do not reach each other`;
  return [finding("tunnel-dropped", describeBase(place.base), text, commandsToAllow(place, culprits, family, pools))];
}

function checkManaged({ managed }: TunnelFacts): readonly Finding[] {
  if (managed.length === 0) return [];
  const names = managed.slice(0, 3).map(({ name, state }) => `${name} (${state})`);
  const rest = managed.length > names.length ? ` and ${managed.length - names.length} more` : "";
  const devices = [`${hostInterfacePrefix}*`, "tunl*", "vxlan.calico", "vxlan-v6.calico"];
  const patterns = devices.map((one) => `interface-name:${one}`).join(";");
  return [
    finding(
      "tunnel-managed",
      "NetworkManager",
      `manages ${names.join(", ")}${rest}: it removes their routes and addresses when it reloads`,
      [
        `printf '[keyfile]\\nunmanaged-devices=${patterns}\\n' > /etc/NetworkManager/conf.d/calico.conf`,
        "systemctl reload NetworkManager",
      ].join("\n"),
      "warning",
    ),
  ];
}

/** Pods that keep their addresses reach nodes directly, while the way back to pods is a tunnel. */
function checkStrict({ devices, strict }: TunnelFacts, { nat }: AgentFacts): readonly Finding[] {
  if (nat?.outgoing?.exclusions === undefined) return [];
  return devices.flatMap(({ name, family, underlay }) =>
    family !== 4 || underlay === undefined || !strict.includes(underlay.link)
      ? []
      : [
          finding(
            "tunnel-reverse-path",
            `rp_filter of ${underlay.link}`,
            `is strict, and natOutgoingExclusions lets pods of other nodes send to this node under their own addresses: these packets come by ${underlay.link}, the way back is ${name}, and the kernel drops them`,
            ["all", underlay.link].map((one) => `sysctl -w net.ipv4.conf.${one}.rp_filter=2`).join("\n"),
          ),
        ],
  );
}

function checkClusterCidr({ clusterCidrs }: TunnelFacts, { nat }: AgentFacts): readonly Finding[] {
  const outside = (nat?.pools ?? []).filter(({ cidr, disabled }) => {
    const ofFamily = clusterCidrs.filter((one) => familyOf(one) === familyOf(cidr));
    return !disabled && ofFamily.length > 0 && !ofFamily.some((one) => contains(one, cidr));
  });
  if (outside.length === 0) return [];
  const pools = outside.map(({ cidr }) => cidr);
  return [
    finding(
      "service-masquerade",
      "kube-proxy",
      `has the cluster CIDR ${clusterCidrs.join(", ")}, outside of which ${plural(pools.length, "pool")} lies: ${pools.join(", ")}: it masquerades what their pods send to services, so servers see the node's address`,
      "# make clusterCIDR of kube-proxy contain the pools: kubectl -n kube-system edit configmap kube-proxy; kubectl -n kube-system rollout restart daemonset kube-proxy",
      "warning",
    ),
  ];
}

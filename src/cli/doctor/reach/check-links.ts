/** Other obstacles: on interfaces, in connection tracking, and between a pod and the node itself. */

import { hostInterfacePrefix } from "../../../identity/names.ts";
import { addressBytes } from "../../../net/address.ts";
import type { Finding } from "../finding.ts";
import { byPrograms } from "../plugin-call.ts";
import { belongsTo, describePlace } from "./check-firewall.ts";
import { commandsToAllow, culpritsOf, describeBase, linkManagers } from "./culprits.ts";
import type { ReachFacts, ReachPod, RouteLookup } from "./facts.ts";
import { type FilterPosition, matchesFamily, type Packet, walk } from "./filter.ts";
import { describeCutOff, listOf, namesOf } from "./words.ts";

export function checkLinks(facts: ReachFacts, pools: readonly string[]): readonly Finding[] {
  return [
    ...checkTracking(facts),
    ...checkNeighbours(facts),
    ...checkManaged(facts),
    ...checkPrograms(facts),
    ...checkRedirects(facts),
    ...checkMtu(facts),
    ...checkNode(facts, pools),
  ];
}

/** Above this, the kernel will soon refuse new connections. */
const nearlyFull = 0.95;

/** "nf_conntrack: table full, dropping packet" */
function checkTracking({ sysctls }: ReachFacts): readonly Finding[] {
  const [count, most] = ["count", "max"].map((name) => Number(sysctls.get(`net/netfilter/nf_conntrack_${name}`) ?? 0));
  if (!count || !most || count < most * nearlyFull) return [];
  const isFull = count >= most;
  return [
    {
      id: "connections-full",
      section: "reach",
      severity: isFull ? "error" : "warning",
      subject: "net/netfilter/nf_conntrack_max",
      text: `is ${most}, and ${count} connections are tracked: ${isFull ? "packets of new connections are dropped" : "soon packets of new connections are dropped"}, including the node's own; how much memory they may use is your decision`,
      remedy: `sysctl -w net.netfilter.nf_conntrack_max=${most * 2}`,
    },
  ];
}

/** Packets to a pod go to the MAC address in the node's neighbour entry. */
function checkNeighbours({ pods, neighbours, probe, uplinks }: ReachFacts): readonly Finding[] {
  const ofPods = pods.flatMap((pod): readonly Finding[] => {
    const entry = neighbours.find(({ address, dev }) => address === pod.address && dev === pod.hostInterface);
    const isWrong = entry?.mac !== undefined && pod.mac !== undefined && entry.mac !== pod.mac;
    const isDeaf = entry?.isFailed && !probe.results.some((one) => one.pod === pod && one.answer === "came");
    if (!isWrong && !isDeaf) return [];
    const about = pod.family === 4 ? "ARP" : "neighbour discovery";
    return [
      {
        id: "neighbour-wrong",
        section: "reach",
        severity: isWrong ? "error" : "warning",
        subject: `neighbour ${pod.address} dev ${pod.hostInterface}`,
        text: isWrong
          ? `(${pod.name}) has MAC address ${entry?.mac}, but the pod's is ${pod.mac}: no packet to the pod arrives`
          : `(${pod.name}) does not answer ${about}: no packet to the pod arrives; check the pod's interface, its addresses and arp_ignore`,
        ...byPrograms([["ip", "neighbour", "delete", pod.address, "dev", pod.hostInterface]]),
      },
    ];
  });
  return [...ofPods, ...([4, 6] as const).flatMap((family) => checkGateway(uplinks[family], neighbours))];
}

function checkGateway(uplink: RouteLookup, neighbours: ReachFacts["neighbours"]): readonly Finding[] {
  if (uplink.kind !== "route" || uplink.gateway === undefined) return [];
  const { gateway, dev } = uplink;
  if (!neighbours.some((one) => one.address === gateway && one.dev === dev && one.isFailed)) return [];
  return [
    {
      id: "gateway-silent",
      section: "reach",
      severity: "warning",
      subject: gateway,
      text: `is the gateway by ${dev}, and does not answer ARP or neighbour solicitations: neither pods nor the node can reach the outside`,
      remedy: `ip neighbour show dev ${dev}   # then check the cable, the switch and the gateway`,
    },
  ];
}

/** NetworkManager and similar programs configure every interface that they are not told to ignore. */
function checkManaged({ links, services }: ReachFacts): readonly Finding[] {
  const managed = links.filter(({ addresses }) => addresses.length > 0);
  if (managed.length === 0) return [];
  const managers = linkManagers.filter((name) => services.includes(name));
  const names = managed.map(({ name, addresses }) => `${name} (${addresses.join(", ")})`).slice(0, 3);
  const who = managers.length === 0 ? "some program" : listOf(managers);
  return [
    {
      id: "interface-managed",
      section: "reach",
      severity: "warning",
      subject: "addresses of host interfaces",
      text: `were not set by the plugins: ${who} gave them: ${names.join(", ")}${managed.length > 3 ? ` and ${managed.length - 3} more` : ""}: their routes misdirect packets of pods; --fix does not remove them, because they would be set again`,
      remedy: [
        ...managers.flatMap((name) => unmanaged[name] ?? []),
        ...managed
          .slice(0, 3)
          .flatMap(({ name, addresses }) => addresses.map((one) => `ip address delete ${one} dev ${name}`)),
      ].join("\n"),
    },
  ];
}

const unmanaged: Readonly<Record<string, readonly string[]>> = {
  NetworkManager: [
    `printf '[keyfile]\\nunmanaged-devices=interface-name:${hostInterfacePrefix}*;interface-name:bwp*\\n' > /etc/NetworkManager/conf.d/${hostInterfacePrefix}.conf`,
    "systemctl reload NetworkManager",
  ],
  "systemd-networkd": [
    `printf '[Match]\\nName=${hostInterfacePrefix}* bwp*\\n[Link]\\nUnmanaged=yes\\n' > /etc/systemd/network/00-${hostInterfacePrefix}.network`,
    "networkctl reload",
  ],
  dhcpcd: [`echo 'denyinterfaces ${hostInterfacePrefix}* bwp*' >> /etc/dhcpcd.conf`, "dhcpcd --rebind"],
  connman: [`# add ${hostInterfacePrefix},bwp to NetworkInterfaceBlacklist in /etc/connman/main.conf`],
};

/** An attached program may drop any packet, and no other check shows it. */
function checkPrograms({ links }: ReachFacts): readonly Finding[] {
  return links
    .filter(({ programs }) => programs.length > 0)
    .map(({ name, programs }) => ({
      id: "foreign-program",
      section: "reach",
      severity: "warning",
      subject: name,
      text: `has programs that the plugins did not attach (${programs.join(", ")}): they may drop packets of the pod; the agent of another CNI plugin (cilium, Calico's eBPF) or a monitoring program attaches such programs`,
      remedy: programs.includes("clsact")
        ? `tc filter show dev ${name} ingress; tc filter show dev ${name} egress   # tc qdisc delete dev ${name} clsact removes all of it`
        : `bpftool net show dev ${name}   # ip link set dev ${name} xdp off removes it`,
    }));
}

/** A leftover of a rate limit: act_mirred drops packets that it cannot redirect. Without the filter, the pod sends without a limit. */
function checkRedirects({ links, pods }: ReachFacts): readonly Finding[] {
  return links
    .filter(({ name, isLost }) => isLost && pods.some(({ hostInterface }) => hostInterface === name))
    .map(({ name }) => ({
      id: "redirect-lost",
      section: "reach",
      severity: "error",
      subject: name,
      text: `redirects packets from its pod to the ifb link of a rate limit, which is gone: ${describeCutOff(pods.filter(({ hostInterface }) => hostInterface === name))}; a DEL of bandwidth was killed, or the link was deleted`,
      ...byPrograms([["tc", "qdisc", "delete", "dev", name, "ingress"]]),
    }));
}

/** Larger packets depend on fragmentation, or on ICMP, which a firewall may drop. */
function checkMtu({ links, ways, pods }: ReachFacts): readonly Finding[] {
  const mtuOf = (name: string) => links.find((link) => link.name === name)?.mtu ?? 0;
  const pairs = new Map<string, ReachPod[]>();
  for (const [index, pod] of pods.entries()) {
    const out = ways[index]?.out;
    if (out?.kind !== "route") continue;
    if (mtuOf(out.dev) === 0 || mtuOf(pod.hostInterface) <= mtuOf(out.dev)) continue;
    pairs.set(out.dev, [...(pairs.get(out.dev) ?? []), pod]);
  }
  return [...pairs].map(([uplink, some]) => ({
    id: "mtu-larger",
    section: "reach",
    severity: "warning",
    subject: uplink,
    text: `has MTU ${mtuOf(uplink)}, and pods that use it have ${mtuOf(some[0]?.hostInterface ?? "")}: large packets depend on ICMP messages that firewalls often drop, so connections hang: ${namesOf(some)}`,
    remedy: `# set "mtu": ${mtuOf(uplink)} in the conflist; it applies to new pods`,
  }));
}

/** Reported only if something on the node answers pods: a node may block all traffic from pods on purpose. */
function checkNode(facts: ReachFacts, pools: readonly string[]): readonly Finding[] {
  if (!facts.servesDns) return [];
  const found = new Map<string, Finding>();
  for (const pod of facts.pods) {
    const place = deniedBy(facts, pod);
    if (place === undefined) continue;
    const subject = describeBase(place.base);
    const culprits = culpritsOf(place, facts.services);
    const own = pools.filter((pool) => pool.includes(":") === (pod.family === 6));
    found.set(subject, {
      id: "node-drops-pods",
      section: "reach",
      severity: "warning",
      subject,
      text: `drops packets from pods to the node, by ${describePlace(place)}, and the node serves DNS, which pods cannot use; ${belongsTo(culprits, place)}`,
      remedy: commandsToAllow(place, culprits, pod.family, own, "INPUT"),
    });
  }
  return [...found.values()];
}

function deniedBy({ chains, ownAddresses }: ReachFacts, pod: ReachPod): FilterPosition | undefined {
  const { family, hostInterface: iif } = pod;
  const target = ownAddresses.find((address) => address.includes(":") === (family === 6));
  if (target === undefined) return undefined;
  const packet: Packet = {
    family,
    iif,
    oif: undefined,
    saddr: addressBytes(pod.address),
    daddr: addressBytes(target),
    protocol: "udp",
    state: "new",
  };
  const entered = chains.filter((base) => base.hook === "input" && matchesFamily(base, packet));
  return entered.map((base) => walk(base, packet)).find(({ accept }) => !accept)?.places[0];
}

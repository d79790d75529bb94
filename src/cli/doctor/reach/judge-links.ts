/** What else stands in the way: on the interfaces, in connection tracking, and between a pod and the node itself. */

import { hostInterfacePrefix } from "../../../identity/names.ts";
import { addressBytes } from "../../../net/address.ts";
import type { Finding } from "../finding.ts";
import { byPrograms } from "../plugin-call.ts";
import { culpritsOf, describeBase, letThrough, linkManagers } from "./culprits.ts";
import type { Lookup, ReachFacts, ReachPod } from "./facts.ts";
import { concerns, type Packet, type Place, walk } from "./filter.ts";
import { belongsTo, describePlace } from "./judge-firewall.ts";
import { cutOff, listOf, namesOf } from "./words.ts";

export function judgeLinks(facts: ReachFacts, pools: readonly string[]): readonly Finding[] {
  return [
    ...judgeTracking(facts),
    ...judgeNeighbours(facts),
    ...judgeManaged(facts),
    ...judgePrograms(facts),
    ...judgeRedirects(facts),
    ...judgeMtu(facts),
    ...judgeNode(facts, pools),
  ];
}

/** From here on new connections are about to be refused. */
const nearlyFull = 0.95;

/** "nf_conntrack: table full, dropping packet" */
function judgeTracking({ sysctls }: ReachFacts): readonly Finding[] {
  const [count, most] = ["count", "max"].map((name) => Number(sysctls.get(`net/netfilter/nf_conntrack_${name}`) ?? 0));
  if (!count || !most || count < most * nearlyFull) return [];
  const isFull = count >= most;
  return [
    {
      id: "connections-full",
      section: "reach",
      severity: isFull ? "error" : "warning",
      subject: "net/netfilter/nf_conntrack_max",
      text: `is ${most}, and ${count} connections are tracked: ${isFull ? "packets of new connections are dropped" : "soon packets of new connections are dropped"}, the node's own too; how much memory they may take is for you to say`,
      remedy: `sysctl -w net.netfilter.nf_conntrack_max=${most * 2}`,
    },
  ];
}

/** Packets for a pod go to the MAC address that the node believes in. */
function judgeNeighbours({ pods, neighbours, probe, uplinks }: ReachFacts): readonly Finding[] {
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
          ? `(${pod.name}) has MAC address ${entry?.mac}, and the pod's is ${pod.mac}: nothing that is sent to the pod arrives`
          : `(${pod.name}) does not answer ${about}: nothing that is sent to the pod arrives; look into the pod: its interface, its addresses, arp_ignore`,
        ...byPrograms([["ip", "neighbour", "delete", pod.address, "dev", pod.hostInterface]]),
      },
    ];
  });
  return [...ofPods, ...([4, 6] as const).flatMap((family) => judgeGateway(uplinks[family], neighbours))];
}

function judgeGateway(uplink: Lookup, neighbours: ReachFacts["neighbours"]): readonly Finding[] {
  if (uplink.kind !== "route" || uplink.gateway === undefined) return [];
  const { gateway, dev } = uplink;
  if (!neighbours.some((one) => one.address === gateway && one.dev === dev && one.isFailed)) return [];
  return [
    {
      id: "gateway-silent",
      section: "reach",
      severity: "warning",
      subject: gateway,
      text: `is the gateway by ${dev}, and does not answer who it is: neither pods nor the node itself reach what is outside`,
      remedy: `ip neighbour show dev ${dev}   # then look at the cable, the network's switch and the gateway`,
    },
  ];
}

/** NetworkManager and others give addresses and routes to every interface that nobody tells them to leave alone. */
function judgeManaged({ links, services }: ReachFacts): readonly Finding[] {
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
      text: `are not the plugins': ${who} gave them: ${names.join(", ")}${managed.length > 3 ? ` and ${managed.length - 3} more` : ""}: with them come routes that lead pods' packets astray; --fix leaves alone what would be given again`,
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

/** Programs may drop what they like, and nothing of it shows elsewhere. */
function judgePrograms({ links }: ReachFacts): readonly Finding[] {
  return links
    .filter(({ programs }) => programs.length > 0)
    .map(({ name, programs }) => ({
      id: "foreign-program",
      section: "reach",
      severity: "warning",
      subject: name,
      text: `has what the plugins did not attach (${programs.join(", ")}): it may drop what its pod sends or gets; another CNI's agent (cilium, Calico's eBPF) or a monitor attaches such things`,
      remedy: programs.includes("clsact")
        ? `tc filter show dev ${name} ingress; tc filter show dev ${name} egress   # tc qdisc delete dev ${name} clsact takes all of it away`
        : `bpftool net show dev ${name}   # ip link set dev ${name} xdp off takes it away`,
    }));
}

/** The rest of a rate limit: act_mirred drops what it cannot redirect. Without it the pod sends, and without a limit. */
function judgeRedirects({ links, pods }: ReachFacts): readonly Finding[] {
  return links
    .filter(({ name, isLost }) => isLost && pods.some(({ hostInterface }) => hostInterface === name))
    .map(({ name }) => ({
      id: "redirect-lost",
      section: "reach",
      severity: "error",
      subject: name,
      text: `sends what its pod sends to the ifb link of a rate limit, which is gone: ${cutOff(pods.filter(({ hostInterface }) => hostInterface === name))}; a DEL of bandwidth was killed, or somebody deleted the link`,
      ...byPrograms([["tc", "qdisc", "delete", "dev", name, "ingress"]]),
    }));
}

/** Larger packets go by fragments, or by ICMP that somebody may drop. */
function judgeMtu({ links, ways, pods }: ReachFacts): readonly Finding[] {
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
    text: `has MTU ${mtuOf(uplink)}, and pods that leave by it have ${mtuOf(some[0]?.hostInterface ?? "")}: large packets depend on ICMP that firewalls like to drop, and connections hang: ${namesOf(some)}`,
    remedy: `# set "mtu": ${mtuOf(uplink)} in the conflist; pods get it when they are made anew`,
  }));
}

/** Told only where something on the node answers pods: a node that lets nobody in is as its administrator wants it. */
function judgeNode(facts: ReachFacts, pools: readonly string[]): readonly Finding[] {
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
      text: `drops what pods send to the node, by ${describePlace(place)}, and something on the node serves DNS: pods cannot ask it; ${belongsTo(culprits, place)}`,
      remedy: letThrough(place, culprits, pod.family, own, "INPUT"),
    });
  }
  return [...found.values()];
}

function deniedBy({ chains, ownAddresses }: ReachFacts, pod: ReachPod): Place | undefined {
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
  const entered = chains.filter((base) => base.hook === "input" && concerns(base, packet));
  return entered.map((base) => walk(base, packet)).find(({ accept }) => !accept)?.places[0];
}

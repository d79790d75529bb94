/** Judges the steps of a packet's way, in its order. Pure: the facts are all that it knows. */
import { gateway4, gateway6, hostMac, natTable } from "../../../plugins/calico/names.ts";
import type { Encapsulation } from "../../agent/network/network-pool.ts";
import { poolOf } from "../../agent/network/network-pool.ts";
import { ipipDevice, vxlanDevices } from "../../identity/names.ts";
import { addressBytes } from "../../net/address.ts";
import { addressOf, contains } from "../../net/prefix.ts";
import { describePlace } from "../doctor/reach/check-firewall.ts";
import { commandsToAllow, culpritsOf, describeBase } from "../doctor/reach/culprits.ts";
import { matchesFamily, type Packet, walk } from "../doctor/reach/filter.ts";
import { headerOf } from "../doctor/tunnels/facts.ts";
import type { Hop, Link, LocalPod, Lookup, PodFacts, TraceFacts } from "./facts.ts";

type Judged = Pick<Hop, "what" | "text" | "verdict" | "remedy">;

const repair = "tortie doctor --fix";
const askAgent = "tortie node status   # the agent makes this entry; see its log too";

export function hopsOf(facts: TraceFacts): readonly Hop[] {
  const { source, node, target } = facts;
  const inPod = (hop: Judged): Hop => ({ place: `pod ${source.name}`, ...hop });
  const onNode = (hop: Judged): Hop => ({ place: `node ${node}`, ...hop });
  return [
    inPod(podInterface(source, facts.sender)),
    inPod(podRoute(facts)),
    inPod(gatewayEntry(facts)),
    onNode(hostInterface(facts, source)),
    ...(target.kind === "this node" ? [] : [onNode(forwarding(facts)), ...firewall(facts, "new").map(onNode)]),
    onNode(nodeRoute(facts)),
    ...natHop(facts).map(onNode),
    ...tunnelHops(facts).map(onNode),
    ...targetHops(facts),
    ...(target.kind === "this node" ? [] : [...replyHop(facts), ...firewall(facts, "established")].map(onNode)),
  ];
}

function podInterface({ ifname, address, netns }: LocalPod, { link, addresses }: PodFacts): Judged {
  const what = ifname;
  if (link === undefined)
    return {
      what,
      text: `its namespace ${netns} has no ${ifname}, or cannot be entered`,
      verdict: "wrong",
      remedy: repair,
    };
  if (!addresses.includes(address)) return { what, text: `does not have ${address}`, verdict: "wrong", remedy: repair };
  if (!link.isUp || !link.hasCarrier)
    return {
      what,
      text: link.isUp ? "has no carrier" : "is down",
      verdict: "wrong",
      remedy: `nsenter --net=${netns} ip link set ${ifname} up`,
    };
  return { what, text: `${address}, ${link.mac ?? "no MAC address"}, MTU ${link.mtu}`, verdict: "good" };
}

function podRoute({ source, sender, target, family }: TraceFacts): Judged {
  const what = "route";
  const { route } = sender;
  const gateway = family === 4 ? gateway4 : gateway6;
  const version = family === 4 ? "" : "-6 ";
  const add = `nsenter --net=${source.netns} ip ${version}route replace default via ${gateway} dev ${source.ifname}${family === 4 ? " onlink" : ""}`;
  if (route.kind === "unasked") return { what, text: "could not be asked for", verdict: "unchecked" };
  if (route.kind === "refused")
    return { what, text: `the pod has no route to ${target.address}: ${route.reason}`, verdict: "wrong", remedy: add };
  if (route.dev !== source.ifname)
    return {
      what,
      text: `${target.address} leaves by ${route.dev}, not by ${source.ifname}: another network of the pod has a more specific route`,
      verdict: "unchecked",
    };
  return { what, text: describeRoute(route), verdict: "good" };
}

function gatewayEntry({ sender, source, links, sysctls, family }: TraceFacts): Judged {
  const { route, gatewayMac } = sender;
  const gateway = route.kind === "route" ? route.gateway : undefined;
  const mac = links.get(source.hostInterface)?.mac ?? hostMac;
  if (gateway === undefined) return { what: "gateway", text: "the route has none", verdict: "unchecked" };
  const what = family === 4 ? `ARP for ${gateway}` : `neighbour ${gateway}`;
  if (gatewayMac === mac) return { what, text: `is ${mac}, which is ${source.hostInterface}'s`, verdict: "good" };
  if (gatewayMac !== undefined)
    return {
      what,
      text: `is ${gatewayMac}, but ${source.hostInterface} has ${mac}: the node drops the packet`,
      verdict: "wrong",
      remedy: `nsenter --net=${source.netns} ip neighbour delete ${gateway} dev ${source.ifname}`,
    };
  if (family === 6) return { what, text: "is asked for with the first packet", verdict: "unchecked" };
  const path = `net/ipv4/conf/${source.hostInterface}/proxy_arp`;
  if (sysctls.get(path) === "1") return { what, text: "the node will answer by proxy ARP", verdict: "good" };
  return {
    what,
    text: `nobody answers: proxy_arp of ${source.hostInterface} is off`,
    verdict: "wrong",
    remedy: `sysctl -w ${path.replaceAll("/", ".")}=1`,
  };
}

function hostInterface({ links }: TraceFacts, { hostInterface: what }: LocalPod): Judged {
  return linkHop(links.get(what), what, "", repair);
}

function linkHop(link: Link | undefined, what: string, of: string, remedy: string): Judged {
  if (link === undefined) return { what, text: `is missing${of}`, verdict: "wrong", remedy };
  if (!link.isUp) return { what, text: "is down", verdict: "wrong", remedy: `ip link set ${what} up` };
  if (!link.hasCarrier)
    return { what, text: "has no carrier: its other end is down or gone", verdict: "wrong", remedy };
  return { what, text: `${link.mac === undefined ? "" : `${link.mac}, `}MTU ${link.mtu}`, verdict: "good" };
}

function forwarding({ family, source, sysctls }: TraceFacts): Judged {
  const what = "forwarding";
  const paths = [
    family === 4 ? "net/ipv4/ip_forward" : "net/ipv6/conf/all/forwarding",
    `net/ipv${family}/conf/${source.hostInterface}/forwarding`,
  ];
  const off = paths.filter((path) => sysctls.get(path) === "0");
  if (off.length > 0) {
    const names = off.map((path) => path.replaceAll("/", "."));
    return {
      what,
      text: `is off: ${names.join(" and ")} is 0`,
      verdict: "wrong",
      remedy: names.map((name) => `sysctl -w ${name}=1`).join("\n"),
    };
  }
  const isRead = paths.every((path) => sysctls.has(path));
  return isRead ? { what, text: "is on", verdict: "good" } : { what, text: "could not be read", verdict: "unchecked" };
}

/** The rules of the forward hooks that see the packet, or its reply. */
function firewall(facts: TraceFacts, state: Packet["state"]): readonly Judged[] {
  const { family, source, target, route, chains, pools, unread } = facts;
  if (route.kind !== "route") return [];
  const what = state === "new" ? "firewall" : "firewall, reply";
  const [from, to] = state === "new" ? [source.address, target.address] : [target.address, source.address];
  const [iif, oif] = state === "new" ? [source.hostInterface, route.dev] : [route.dev, source.hostInterface];
  const packet: Packet = {
    family,
    iif,
    oif,
    saddr: addressBytes(from),
    daddr: addressBytes(to),
    protocol: "tcp",
    state,
  };
  const seen = chains.filter((base) => base.hook === "forward" && matchesFamily(base, packet));
  const outcomes = seen.map((base) => walk(base, packet)).filter(({ drop }) => drop);
  const sure = outcomes.find(({ accept }) => !accept);
  const [place] = (sure ?? outcomes[0])?.places ?? [];
  if (place === undefined) {
    const isRead = !unread.some((one) => one.startsWith("rules of "));
    const text =
      seen.length === 0
        ? "no chain may drop forwarded packets"
        : `${plural(seen.length)} may drop forwarded packets, and let this one through`;
    return [
      isRead
        ? { what, text, verdict: "good" }
        : { what, text: "its rules could not all be read", verdict: "unchecked" },
    ];
  }
  const where = `${describeBase(place.base)}, by ${describePlace(place)}`;
  if (sure === undefined)
    return [{ what, text: `${where}, may drop it: what the rule asks for is not known here`, verdict: "unchecked" }];
  const culprits = culpritsOf(place, []);
  const prefixes = pools.filter((pool) => pool.family === family).map(({ cidr }) => cidr);
  return [
    { what, text: `${where}, drops it`, verdict: "wrong", remedy: commandsToAllow(place, culprits, family, prefixes) },
  ];
}

function plural(count: number): string {
  return count === 1 ? "1 chain" : `${count} chains`;
}

function nodeRoute(facts: TraceFacts): Judged {
  const what = "route";
  const { route, target, source } = facts;
  if (route.kind === "unasked") return { what, text: "could not be asked for", verdict: "unchecked" };
  if (target.kind === "unallocated") return unallocated(facts);
  if (route.kind === "refused") return { what, text: refusal(facts, route.reason), ...whatToDo(facts) };
  if (target.kind === "local pod" && route.dev !== target.pod.hostInterface)
    return {
      what,
      text: `${describeRoute(route)}: the pod is behind ${target.pod.hostInterface}`,
      verdict: "wrong",
      remedy: repair,
    };
  if (target.kind === "far pod") {
    const fault = wrongWay(facts, route);
    const remedy = `ip route delete ${route.via ?? target.block}\n${askAgent}`;
    if (fault !== undefined) return { what, text: fault, verdict: "wrong", remedy };
  }
  if (route.dev === source.hostInterface)
    return { what, text: `${describeRoute(route)}: back to the pod that sent it`, verdict: "wrong", remedy: repair };
  return { what, text: describeRoute(route), verdict: "good" };
}

function unallocated({ route, target }: TraceFacts): Judged {
  const { block, on } = target.kind === "unallocated" ? target : { block: undefined, on: undefined };
  const belongs =
    block === undefined ? "no block of the pool contains it" : `its block ${block} belongs to ${on ?? "no node"}`;
  const goes = route.kind === "route" ? `leaves by ${route.dev}` : "ends on this node";
  return {
    what: "route",
    text: `no pod has ${target.address} (${belongs}); the packet ${goes}`,
    verdict: "wrong",
    remedy: `tortie ipam show --ip ${target.address}`,
  };
}

function refusal({ target, source }: TraceFacts, reason: string): string {
  const filter = `the reverse path filter refuses ${source.address} from ${source.hostInterface}`;
  if (reason.includes("cross-device")) return `${reason}: ${filter}`;
  if (reason.includes("Invalid argument")) return `${reason}: a blackhole route has the address, or ${filter}`;
  if (target.kind === "far pod")
    return `${reason}: there is no route to the block ${target.block} of ${target.on.name}`;
  if (target.kind === "local pod") return `${reason}: there is no route to the pod`;
  return reason;
}

function whatToDo({ target }: TraceFacts): Pick<Judged, "verdict" | "remedy"> {
  return {
    verdict: "wrong",
    remedy: target.kind === "far pod" ? askAgent : target.kind === "outside" ? "ip route; ip rule" : repair,
  };
}

/** Whether the packet to a pod of another node takes the way of its pool's mode; `undefined`: it does. */
function wrongWay(facts: TraceFacts, route: Extract<Lookup, { kind: "route" }>): string | undefined {
  const { target, family } = facts;
  if (target.kind !== "far pod") return undefined;
  const mode = encapsulationTo(facts);
  const device = mode === "vxlan" ? vxlanDevices[family] : mode === "ipip" ? ipipDevice : undefined;
  if (device !== undefined && route.dev !== device)
    return `${describeRoute(route)}: by the mode of its pool the packet should leave by ${device}`;
  const gateway = gatewayTo(facts, mode);
  if (gateway !== undefined && mode !== "none" && route.gateway !== gateway)
    return `${describeRoute(route)}: the block ${target.block} is ${target.on.name}'s, whose gateway is ${gateway}`;
  return undefined;
}

/** How packets to the target travel, by the mode of its pool. */
function encapsulationTo({ target, pools, own, family }: TraceFacts): Encapsulation | undefined {
  if (target.kind !== "far pod") return undefined;
  const pool = poolOf(pools, target.address);
  if (pool === undefined) return undefined;
  const [mine, theirs] = [own?.addresses[family], target.on.addresses[family]];
  if (pool.onlyAcrossSubnets && mine !== undefined && theirs !== undefined && contains(mine, theirs)) return "none";
  return pool.encapsulation;
}

function gatewayTo({ target, family }: TraceFacts, mode: Encapsulation | undefined): string | undefined {
  if (target.kind !== "far pod") return undefined;
  const address = target.on.addresses[family];
  return mode === "vxlan" ? target.on.vxlanAddresses[family] : address && addressOf(address);
}

function natHop({ source, target, pools, hasNatTable }: TraceFacts): readonly Judged[] {
  if (target.kind !== "outside" && target.kind !== "far node") return [];
  const pool = poolOf(pools, source.address);
  const what = "natOutgoing";
  if (pool?.natOutgoing !== true)
    return [
      {
        what,
        text: `is off: the packet keeps ${source.address}, and the network must know the way back`,
        verdict: "unchecked",
      },
    ];
  if (hasNatTable === undefined)
    return [{ what, text: `whether the table ${natTable} is there could not be read`, verdict: "unchecked" }];
  if (!hasNatTable)
    return [
      {
        what,
        text: `the table ${natTable} is missing: the packet keeps ${source.address}`,
        verdict: "wrong",
        remedy: repair,
      },
    ];
  return [{ what, text: "the packet leaves with the node's address", verdict: "good" }];
}

function tunnelHops(facts: TraceFacts): readonly Judged[] {
  const { tunnel, target, family, links, route } = facts;
  if (tunnel === undefined || route.kind !== "route") return [];
  const far = target.kind === "far pod" || target.kind === "far node" ? target.on : undefined;
  const address = far?.addresses[family];
  const expected = address === undefined ? undefined : addressOf(address);
  const device = linkHop(links.get(tunnel.device), tunnel.device, "", askAgent);
  const kind = tunnel.kind === "ipip" ? "IPIP" : `VNI ${tunnel.vni}, UDP ${tunnel.port}`;
  const head: Judged = device.verdict === "good" ? { ...device, text: `${kind}, ${device.text}` } : device;
  const entries = tunnel.kind === "vxlan" ? vxlanEntries(facts, far?.vxlanMacs[family], expected) : [];
  const { outer } = tunnel;
  const below = tunnel.below ?? (outer.kind === "route" ? outer.dev : undefined);
  return [head, ...entries, outerRoute(outer, expected, far?.name), ...mtuHop(facts, below)];
}

function vxlanEntries(
  { tunnel, route }: TraceFacts,
  mac: string | undefined,
  expected: string | undefined,
): readonly Judged[] {
  if (tunnel === undefined || route.kind !== "route") return [];
  const { device, neighbourMac, forwardsTo } = tunnel;
  const gateway = route.gateway ?? "";
  const neighbour = entry(
    `neighbour ${gateway}`,
    neighbourMac,
    mac,
    `ip neighbour replace ${gateway} lladdr ${mac} dev ${device} nud permanent`,
  );
  const fdb = entry(
    `FDB ${mac ?? neighbourMac ?? ""}`,
    forwardsTo,
    expected,
    `bridge fdb replace ${mac} dev ${device} dst ${expected} self permanent`,
  );
  return [neighbour, fdb];
}

function entry(what: string, found: string | undefined, wanted: string | undefined, remedy: string): Judged {
  const means = `${remedy}\n${askAgent}`;
  if (wanted === undefined)
    return {
      what,
      text: found === undefined ? "is missing" : `is ${found}; the datastore does not know what it should be`,
      verdict: found === undefined ? "wrong" : "unchecked",
      remedy: means,
    };
  if (found === undefined) return { what, text: `is missing: it should be ${wanted}`, verdict: "wrong", remedy: means };
  if (found !== wanted) return { what, text: `is ${found}: it should be ${wanted}`, verdict: "wrong", remedy: means };
  return { what, text: `is ${found}`, verdict: "good" };
}

function outerRoute(outer: Lookup, address: string | undefined, name: string | undefined): Judged {
  const what = "outer packet";
  if (outer.kind === "unasked" || address === undefined)
    return { what, text: "the address of the other node is not known", verdict: "unchecked" };
  if (outer.kind === "refused")
    return {
      what,
      text: `${address} of ${name}: ${outer.reason}`,
      verdict: "wrong",
      remedy: `ip route get ${address}`,
    };
  return { what, text: `to ${address} of ${name}, ${describeRoute(outer)}`, verdict: "good" };
}

function mtuHop({ tunnel, links, family, source, sender }: TraceFacts, below: string | undefined): readonly Judged[] {
  const [inner, outer] = [
    tunnel && links.get(tunnel.device)?.mtu,
    below === undefined ? undefined : links.get(below)?.mtu,
  ];
  if (tunnel === undefined || inner === undefined || outer === undefined) return [];
  const header = headerOf[tunnel.kind][family];
  const what = "MTU";
  if (inner + header > outer)
    return [
      {
        what,
        text: `${tunnel.device} has ${inner}, and ${below} ${outer}: packets of more than ${outer - header} bytes are lost`,
        verdict: "wrong",
        remedy: `ip link set ${tunnel.device} mtu ${outer - header}`,
      },
    ];
  const pod = sender.link?.mtu;
  if (pod !== undefined && pod > inner)
    return [
      {
        what,
        text: `the pod has ${pod}, and ${tunnel.device} ${inner}: large packets depend on ICMP`,
        verdict: "wrong",
        remedy: `nsenter --net=${source.netns} ip link set ${source.ifname} mtu ${inner}`,
      },
    ];
  return [{ what, text: `${inner} inside, ${inner + header} outside, ${outer} on ${below}`, verdict: "good" }];
}

function targetHops(facts: TraceFacts): readonly Hop[] {
  const { target, node } = facts;
  switch (target.kind) {
    case "local pod": {
      const { pod, receiver } = target;
      return [
        { place: `node ${node}`, ...hostInterface(facts, pod) },
        { place: `pod ${pod.name}`, ...podInterface(pod, receiver) },
      ];
    }
    case "far pod": {
      const place = `node ${target.on.name}`;
      const what = `pod ${target.pod ?? target.address}`;
      return [
        { place, what: `block ${target.block}`, text: "by the datastore is this node's", verdict: "good" },
        {
          place,
          what,
          text: `by the datastore has the address; its node's tables are seen there: tortie trace ${target.address} ${facts.source.address}`,
          verdict: "unchecked",
        },
      ];
    }
    case "far node":
      return [
        {
          place: `node ${target.on.name}`,
          what: target.address,
          text: "what its firewall does is seen there",
          verdict: "unchecked",
        },
      ];
    case "outside":
      return [
        {
          place: "network",
          what: target.address,
          text: "is not in the cluster: the network beyond the uplink is not seen from here",
          verdict: "unchecked",
        },
      ];
    case "this node":
      return [{ place: `node ${node}`, what: target.address, text: "is an address of this node", verdict: "good" }];
    default:
      return [];
  }
}

function replyHop({ reply, source }: TraceFacts): readonly Judged[] {
  const what = "reply";
  if (reply.kind === "unasked") return [];
  if (reply.kind === "refused")
    return [
      { what, text: `${reply.reason}: there is no way back to ${source.address}`, verdict: "wrong", remedy: repair },
    ];
  if (reply.dev !== source.hostInterface)
    return [
      {
        what,
        text: `${describeRoute(reply)}: the pod is behind ${source.hostInterface}`,
        verdict: "wrong",
        remedy: `ip route get ${source.address}; ip rule`,
      },
    ];
  return [{ what, text: describeRoute(reply), verdict: "good" }];
}

/** `192.168.61.64/26 via 192.168.61.64 dev vxlan.calico`. */
function describeRoute({ via, gateway, dev }: Extract<Lookup, { kind: "route" }>): string {
  return `${via === undefined ? "" : `${via} `}${gateway === undefined ? "" : `via ${gateway} `}dev ${dev}`;
}

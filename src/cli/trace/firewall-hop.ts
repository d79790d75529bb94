/** The step of the firewall: all chains that may drop the packet or its reply, of every program. */
import { addressBytes } from "../../net/address.ts";
import { plural } from "../doctor/plural.ts";
import { describePlace } from "../doctor/reach/check-firewall.ts";
import { commandsToAllow, culpritsOf, describeBase } from "../doctor/reach/culprits.ts";
import { type BaseChain, type FilterPosition, matchesFamily, type Packet, walk } from "../doctor/reach/filter.ts";
import { listOf } from "../doctor/reach/words.ts";
import { commandsToOpen } from "../doctor/tunnels/check.ts";
import type { TraceFacts } from "./facts.ts";
import { type Judged, unchecked } from "./judged.ts";
import { addressOfNode, farNodeOf } from "./nodes.ts";

/** Of the packet, or of its reply; `undefined`: the packet goes nowhere. */
export function firewall(facts: TraceFacts, state: Packet["state"]): Judged | undefined {
  const { target, pools, family } = facts;
  const packet = packetOf(facts, state);
  if (packet === undefined) return undefined;
  const prefixes = pools.filter((pool) => pool.family === family).map(({ cidr }) => cidr);
  return passing(facts, {
    what: state === "new" ? "firewall" : "firewall, reply",
    hooks: target.kind === "this node" ? ["prerouting", "input"] : ["prerouting", "forward", "postrouting"],
    packet,
    remedyFor: (place, culprits) =>
      commandsToAllow(place, culprits, family, prefixes, place.base.hook === "input" ? "INPUT" : "FORWARD"),
  });
}

/** Of the tunnel's packets to the other node, or from it: each is new to connection tracking. `undefined`: there are none. */
export function tunnelFirewall(facts: TraceFacts, direction: "out" | "in"): Judged | undefined {
  const { tunnel, uplink, links, target, family, own } = facts;
  const far = addressOfNode(farNodeOf(target), family);
  const { local = addressOfNode(own, family), port } = links?.get(tunnel?.device ?? "")?.vxlan ?? {};
  const opened = tunnel?.kind === "ipip" ? "ipip" : port;
  if (uplink === undefined || local === undefined || far === undefined || opened === undefined) return undefined;
  const [mine, theirs] = [addressBytes(local), addressBytes(far)];
  const isOut = direction === "out";
  return passing(facts, {
    what: "firewall, tunnel",
    hooks: isOut ? ["output", "postrouting"] : ["prerouting", "input"],
    packet: {
      ...{ family, state: "new" },
      ...(opened === "ipip" ? { protocol: "ipip" } : { protocol: "udp", dport: opened }),
      ...(isOut ? { iif: "", oif: uplink.dev } : { iif: uplink.dev, oif: undefined }),
      ...(isOut ? { saddr: mine, daddr: theirs } : { saddr: theirs, daddr: mine }),
    },
    remedyFor: (place, culprits) => commandsToOpen(place, culprits, family, opened),
  });
}

interface Passing {
  readonly what: string;
  readonly hooks: readonly BaseChain["hook"][];
  readonly packet: Packet;
  readonly remedyFor: (place: FilterPosition, culprits: readonly string[]) => string;
}

function passing(
  { chains, hasUnreadRules, services }: TraceFacts,
  { what, hooks, packet, remedyFor }: Passing,
): Judged {
  const seen = chains.filter((base) => hooks.includes(base.hook) && matchesFamily(base, packet));
  const outcomes = seen.map((base) => walk(base, packet)).filter(({ drop }) => drop);
  const sure = outcomes.find(({ accept }) => !accept);
  const [place] = (sure ?? outcomes[0])?.places ?? [];
  if (place === undefined) {
    if (hasUnreadRules) return unchecked(what, "its rules could not all be read");
    const text =
      seen.length === 0
        ? "no chain may drop packets"
        : `${plural(seen.length, "chain")} may drop packets, and let this one through`;
    return { what, text, verdict: "good" };
  }
  const culprits = culpritsOf(place, services);
  const where = describeDropper(place, culprits);
  if (sure === undefined) return unchecked(what, `${where}, may drop it: what the rule asks for is not known here`);
  return { what, text: `${where}, drops it`, verdict: "wrong", remedy: remedyFor(place, culprits) };
}

function packetOf(facts: TraceFacts, state: Packet["state"]): Packet | undefined {
  const { family, source, target, route, port } = facts;
  if (route.kind !== "route") return undefined;
  const out = target.kind === "this node" ? undefined : route.dev;
  const isNew = state === "new";
  const [from, to] = isNew ? [source.address, target.address] : [target.address, source.address];
  return {
    ...{ family, state, protocol: port?.protocol ?? "tcp" },
    // The port of a reply is the sender's, which is not known.
    ...(isNew && port !== undefined && { dport: port.number }),
    iif: isNew ? source.hostInterface : route.dev,
    oif: isNew ? out : source.hostInterface,
    saddr: addressBytes(from),
    daddr: addressBytes(to),
  };
}

/** `iptables filter FORWARD (docker), by its policy "drop"`. */
function describeDropper(place: FilterPosition, culprits: readonly string[]): string {
  const whose = culprits.length === 0 ? "" : ` (${listOf(culprits)})`;
  return `${describeBase(place.base)}${whose}, by ${describePlace(place)}`;
}

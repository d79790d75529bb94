/** The steps on this node: the host interface, forwarding, the firewall, natOutgoing, and the way back. */

import { poolOf } from "../../cluster-network/network-pool.ts";
import { natTable } from "../../identity/names.ts";
import { addressBytes } from "../../net/address.ts";
import { addressOf } from "../../net/prefix.ts";
import { plural } from "../doctor/plural.ts";
import { describePlace } from "../doctor/reach/check-firewall.ts";
import { commandsToAllow, culpritsOf, describeBase } from "../doctor/reach/culprits.ts";
import { matchesFamily, type Packet, walk } from "../doctor/reach/filter.ts";
import { sysctlName } from "../doctor/reach/sysctl.ts";
import type { LocalPod, TraceFacts } from "./facts.ts";
import { describeRoute, type Judged, linkHop, repair } from "./judged.ts";

export function hostInterface({ links }: TraceFacts, { hostInterface: what }: LocalPod): Judged {
  return linkHop(links.get(what), what, repair);
}

export function forwarding({ family, source, sysctls }: TraceFacts): Judged {
  const what = "forwarding";
  const paths = [
    family === 4 ? "net/ipv4/ip_forward" : "net/ipv6/conf/all/forwarding",
    `net/ipv${family}/conf/${source.hostInterface}/forwarding`,
  ];
  const off = paths.filter((path) => sysctls.get(path) === "0");
  if (off.length > 0) {
    const names = off.map(sysctlName);
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

/** The rules that see the packet, or its reply. */
export function firewall(facts: TraceFacts, state: Packet["state"]): readonly Judged[] {
  const { family, source, target, route, chains, pools, unread } = facts;
  if (route.kind !== "route") return [];
  const what = state === "new" ? "firewall" : "firewall, reply";
  const [from, to] = state === "new" ? [source.address, target.address] : [target.address, source.address];
  const out = target.kind === "this node" ? undefined : route.dev;
  const [iif, oif] = state === "new" ? [source.hostInterface, out] : [route.dev, source.hostInterface];
  const packet: Packet = {
    family,
    iif,
    oif,
    saddr: addressBytes(from),
    daddr: addressBytes(to),
    protocol: "tcp",
    state,
  };
  const hooks = target.kind === "this node" ? ["prerouting", "input"] : ["prerouting", "forward", "postrouting"];
  const seen = chains.filter((base) => hooks.includes(base.hook) && matchesFamily(base, packet));
  const outcomes = seen.map((base) => walk(base, packet)).filter(({ drop }) => drop);
  const sure = outcomes.find(({ accept }) => !accept);
  const [place] = (sure ?? outcomes[0])?.places ?? [];
  if (place === undefined) {
    const isRead = !unread.some((one) => one.startsWith("rules of "));
    const text =
      seen.length === 0
        ? "no chain may drop packets"
        : `${plural(seen.length, "chain")} may drop packets, and let this one through`;
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
    {
      what,
      text: `${where}, drops it`,
      verdict: "wrong",
      remedy: commandsToAllow(place, culprits, family, prefixes, place.base.hook === "input" ? "INPUT" : "FORWARD"),
    },
  ];
}

export function natHop({ source, target, pools, natTable: rules }: TraceFacts): readonly Judged[] {
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
  if (rules === undefined)
    return [{ what, text: `whether the table ${natTable} is there could not be read`, verdict: "unchecked" }];
  const missing =
    rules === "" ? `the table ${natTable} is missing` : `the table ${natTable} lacks the pool ${pool.cidr}`;
  if (!rules.includes(JSON.stringify(addressOf(pool.cidr))))
    return [{ what, text: `${missing}: the packet keeps ${source.address}`, verdict: "wrong", remedy: repair }];
  return [{ what, text: "the packet leaves with the node's address", verdict: "good" }];
}

export function replyHop({ reply, source }: TraceFacts): readonly Judged[] {
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

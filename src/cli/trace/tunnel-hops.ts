/** The steps of a tunnel: its device, the entries that lead to the other node, the outer packet, and the MTU. */
import { addressOf } from "../../net/prefix.ts";
import { headerOf } from "../doctor/tunnels/facts.ts";
import type { Lookup, TraceFacts } from "./facts.ts";
import { askAgent, describeRoute, type Judged, linkHop } from "./judged.ts";

export function tunnelHops(facts: TraceFacts): readonly Judged[] {
  const { tunnel, target, family, links, route } = facts;
  if (tunnel === undefined || route.kind !== "route") return [];
  const far = target.kind === "far pod" || target.kind === "far node" ? target.on : undefined;
  const address = far?.addresses[family];
  const expected = address === undefined ? undefined : addressOf(address);
  const device = linkHop(links.get(tunnel.device), tunnel.device, askAgent);
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

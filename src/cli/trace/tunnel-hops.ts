/** The steps of a tunnel: its device, the entries that lead to the other node, and the route of the outer packet. */
import { defaultVni, defaultVxlanPort } from "../../cluster-network/network-settings.ts";
import type { Entry, Lookup, TraceFacts, Tunnel, VxlanLink } from "./facts.ts";
import { askAgent, describeRoute, type Judged, linkHop, refusedBy, unaskedText, unchecked } from "./judged.ts";
import { addressOfNode, farNodeOf, holderOf } from "./nodes.ts";

export function tunnelHops(facts: TraceFacts): readonly Judged[] {
  const { tunnel, target, family, route } = facts;
  if (tunnel === undefined || route.kind !== "route") return [];
  const far = farNodeOf(target);
  const expected = addressOfNode(far, family);
  const entries = tunnel.kind === "vxlan" ? vxlanEntries(facts, tunnel, far?.vxlanMacs[family], expected) : [];
  return [deviceHop(facts, tunnel), ...entries, outerRoute(facts, tunnel, expected, far?.name)];
}

function deviceHop(facts: TraceFacts, { device, kind }: Tunnel): Judged {
  const found = linkHop(facts, device, askAgent);
  if (found.verdict !== "good") return found;
  if (kind === "ipip") return { ...found, text: `IPIP, ${found.text}` };
  const vxlan = facts.links?.get(device)?.vxlan;
  if (vxlan === undefined) return { ...found, text: "is no VXLAN device", verdict: "wrong", remedy: askAgent };
  const text = `VNI ${vxlan.vni ?? "unknown"}, UDP ${vxlan.port ?? "unknown"}, ${found.text}`;
  const differences = differencesOf(facts, vxlan);
  if (differences.length === 0) return isWhole(facts, vxlan) ? { ...found, text } : unchecked(device, text);
  const isSure = differences.some((one) => one.isSure);
  return {
    what: device,
    text: differences.map((one) => one.text).join("; "),
    verdict: isSure ? "wrong" : "unchecked",
    remedy: askAgent,
  };
}

interface Difference {
  readonly text: string;
  readonly isSure: boolean;
}

/** A running agent keeps the device as its own settings say, which go before the datastore's. */
function differencesOf(
  { settings, networking, own, links, family }: TraceFacts,
  vxlan: VxlanLink,
): readonly Difference[] {
  const address = addressOfNode(own, family);
  const differ = (name: string, found: unknown, wanted: unknown, isSure: boolean): readonly Difference[] => {
    if (found === undefined || wanted === undefined || found === wanted) return [];
    const hint = isSure ? "" : ", unless settings of tortie-node say otherwise";
    return [{ text: `${name} is ${found}: it should be ${wanted}${hint}`, isSure }];
  };
  const isDecided = networking === undefined;
  return [
    ...differ("VNI", vxlan.vni, settings && (settings.vxlanVNI ?? defaultVni), isDecided),
    ...differ("UDP port", vxlan.port, settings && (settings.vxlanPort ?? defaultVxlanPort), isDecided),
    ...differ("local address", vxlan.local, address, true),
    ...differ("interface below", vxlan.below, holderOf(links, address)?.name, true),
  ];
}

function isWhole({ settings, own, links, family }: TraceFacts, { vni, port, local, below }: VxlanLink): boolean {
  const isRead = [vni, port, local, below].every((one) => one !== undefined);
  return isRead && settings !== undefined && own?.addresses[family] !== undefined && links !== undefined;
}

function vxlanEntries(
  { route }: TraceFacts,
  { device, neighbour, forwards }: Tunnel,
  mac: string | undefined,
  expected: string | undefined,
): readonly Judged[] {
  const gateway = (route.kind === "route" && route.gateway) || "";
  const name = neighbour.kind === "found" ? neighbour.value : (mac ?? "");
  return [
    entryHop(
      `neighbour ${gateway}`,
      neighbour,
      mac,
      `ip neighbour replace ${gateway} lladdr ${mac} dev ${device} nud permanent`,
    ),
    entryHop(
      `FDB ${mac ?? name}`,
      forwards,
      expected,
      `bridge fdb replace ${mac} dev ${device} dst ${expected} self permanent`,
    ),
  ];
}

function entryHop(what: string, found: Entry, wanted: string | undefined, remedy: string): Judged {
  const means = wanted === undefined ? askAgent : `${remedy}\n${askAgent}`;
  if (found.kind === "unread") return unchecked(what, `could not be read: ${found.reason}`);
  if (found.kind === "found" && wanted === undefined)
    return unchecked(what, `is ${found.value}; the datastore does not know what it should be`);
  if (found.kind === "found" && found.value === wanted) return { what, text: `is ${found.value}`, verdict: "good" };
  const state =
    found.kind === "found" ? `is ${found.value}` : found.kind === "silent" ? `is ${found.state}` : "is missing";
  return {
    what,
    text: wanted === undefined ? state : `${state}: it should be ${wanted}`,
    verdict: "wrong",
    remedy: means,
  };
}

/** The outer packet, and what comes back. */
function outerRoute(
  facts: TraceFacts,
  { outer, outerReply }: Tunnel,
  address: string | undefined,
  name: string | undefined,
): Judged {
  const what = "outer packet";
  if (address === undefined) return unchecked(what, "the address of the other node is not known");
  const to = `${address} of ${name}`;
  const remedy = `ip route get ${address}; ip rule`;
  if (outer.kind === "unasked") return unchecked(what, `to ${to}: the route ${unaskedText(outer)}`);
  if (outer.kind === "refused") return { what, text: `to ${to}: ${outer.reason}`, verdict: "wrong", remedy };
  const text = `to ${to}, ${describeRoute(outer)}`;
  if (outer.via === undefined)
    return { what, text: `to ${to}: no route by ${outer.dev} leads there`, verdict: "wrong", remedy };
  return answered(facts, outerReply, { what, text, iif: outer.dev, from: address });
}

interface Answered {
  readonly what: string;
  readonly text: string;
  readonly iif: string;
  readonly from: string;
}

/** Whether the node takes what the other one sends back. */
function answered(facts: TraceFacts, reply: Lookup, { what, text, iif, from }: Answered): Judged {
  if (reply.kind === "unasked") return unchecked(what, `${text}; the way back ${unaskedText(reply)}`);
  if (reply.kind === "route") return { what, text, verdict: "good" };
  const refused = refusedBy(facts, reply, { from, iif });
  const remedy = refused.remedy ?? `ip route get ${from}; ip rule`;
  return { what, text: `${text}; what comes back is refused: ${refused.text}`, verdict: "wrong", remedy };
}

/** Judges the steps of a packet's way, in its order. Pure: the facts are all that it knows. */
import type { Hop, TraceFacts } from "./facts.ts";
import { firewall, tunnelFirewall } from "./firewall-hop.ts";
import type { Judged } from "./judged.ts";
import { mtuHop } from "./mtu-hop.ts";
import { natHop } from "./nat-hop.ts";
import { forwarding, hostInterface, podNeighbour, replyHop } from "./node-hops.ts";
import { gatewayEntry, podInterface, podRoute } from "./pod-hops.ts";
import { redirectHop } from "./redirect-hop.ts";
import { nodeRoute } from "./route-hop.ts";
import { tunnelHops } from "./tunnel-hops.ts";
import { uplinkHops } from "./uplink-hops.ts";

export function hopsOf(facts: TraceFacts): readonly Hop[] {
  const { source, node, target } = facts;
  const at =
    (place: string) =>
    (hops: readonly (Judged | undefined)[]): readonly Hop[] =>
      hops.flatMap((hop) => (hop === undefined ? [] : [{ place, ...hop }]));
  const [inPod, onNode] = [at(`pod ${source.name}`), at(`node ${node}`)];
  const isForwarded = target.kind !== "this node";
  return [
    ...inPod([
      podInterface(source, facts.sender),
      podRoute(source, facts.sender, facts.redirect?.address ?? target.address),
      gatewayEntry(facts, source, facts.sender),
    ]),
    ...onNode([
      hostInterface(facts, source),
      redirectHop(facts),
      isForwarded ? forwarding(facts) : undefined,
      firewall(facts, "new"),
      nodeRoute(facts),
      natHop(facts),
      ...tunnelHops(facts),
      tunnelFirewall(facts, "out"),
      ...uplinkHops(facts),
      mtuHop(facts),
    ]),
    ...targetHops(facts),
    ...onNode(isForwarded ? replySteps(facts) : []).map((hop) => ({ ...hop, isReply: true as const })),
  ];
}

function replySteps(facts: TraceFacts): readonly (Judged | undefined)[] {
  if (facts.route.kind !== "route") return [];
  return [tunnelFirewall(facts, "in"), replyHop(facts), firewall(facts, "established")];
}

function blockText(owner: string | undefined, node: string): string {
  if (owner === node) return "by the datastore is this node's";
  return `by the datastore ${owner === undefined ? "has no node" : `is node ${owner}'s`}: this node borrowed the address`;
}

function targetHops(facts: TraceFacts): readonly Hop[] {
  const { target, node } = facts;
  switch (target.kind) {
    case "local pod": {
      const { pod, receiver } = target;
      return [
        { place: `node ${node}`, ...hostInterface(facts, pod) },
        { place: `node ${node}`, ...podNeighbour(facts, target) },
        { place: `pod ${pod.name}`, ...podInterface(pod, receiver) },
        { place: `pod ${pod.name}`, ...podRoute(pod, receiver, facts.source.address) },
        { place: `pod ${pod.name}`, ...gatewayEntry(facts, pod, receiver) },
      ];
    }
    case "far pod": {
      const place = `node ${target.on.name}`;
      const what = `pod ${target.pod ?? target.address}`;
      return [
        { place, what: `block ${target.block}`, text: blockText(target.owner, target.on.name), verdict: "good" },
        {
          place,
          what,
          text: `has the address by the datastore; its node's tables are seen there: tortie trace ${target.address} ${facts.source.address}`,
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

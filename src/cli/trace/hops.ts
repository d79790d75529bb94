/** Judges the steps of a packet's way, in its order. Pure: the facts are all that it knows. */
import type { Hop, TraceFacts } from "./facts.ts";
import type { Judged } from "./judged.ts";
import { firewall, forwarding, hostInterface, natHop, replyHop } from "./node-hops.ts";
import { gatewayEntry, podInterface, podRoute } from "./pod-hops.ts";
import { nodeRoute } from "./route-hop.ts";
import { tunnelHops } from "./tunnel-hops.ts";

export function hopsOf(facts: TraceFacts): readonly Hop[] {
  const { source, node, target } = facts;
  const inPod = (hop: Judged): Hop => ({ place: `pod ${source.name}`, ...hop });
  const onNode = (hop: Judged): Hop => ({ place: `node ${node}`, ...hop });
  return [
    inPod(podInterface(source, facts.sender)),
    inPod(podRoute(source, facts.sender, target.address)),
    inPod(gatewayEntry(facts, source, facts.sender)),
    onNode(hostInterface(facts, source)),
    ...(target.kind === "this node" ? [] : [onNode(forwarding(facts))]),
    ...firewall(facts, "new").map(onNode),
    onNode(nodeRoute(facts)),
    ...natHop(facts).map(onNode),
    ...tunnelHops(facts).map(onNode),
    ...targetHops(facts),
    ...(target.kind === "this node" ? [] : [...replyHop(facts), ...firewall(facts, "established")].map(onNode)),
  ];
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

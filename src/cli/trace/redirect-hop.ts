/** The step of a host port or a floating IP. */
import { agentTables } from "../../identity/names.ts";
import type { Holder, TraceFacts } from "./facts.ts";
import { askAgent, type Judged, repair, unchecked } from "./judged.ts";

/** `undefined`: the packet goes where it is addressed to. */
export function redirectHop(facts: TraceFacts): Judged | undefined {
  const { redirect, target } = facts;
  if (redirect === undefined) return undefined;
  const { what, to, unread, asked, holder } = redirect;
  if (unread !== undefined) return unchecked(what, `could not be read: ${unread}`);
  if (to === undefined && holder !== undefined) return withoutWay(facts, asked, holder);
  if (to === undefined)
    return unchecked(what, `no pod has ${asked}: the packet is for a process of this node, if one listens there`);
  if (target.kind === "local pod")
    return { what, text: `${asked} leads to ${target.pod.name} (${to})`, verdict: "good" };
  return {
    what,
    text: `${asked} leads to ${to}, which no pod of this node has`,
    verdict: "wrong",
    remedy: repair,
  };
}

/** The datastore knows the floating IP, and this node's table does not: rightly only if its pod is elsewhere. */
function withoutWay({ node: own }: TraceFacts, address: string, { pod, node }: Holder): Judged {
  const what = "floating IP";
  if (node !== own)
    return unchecked(what, `${address} is ${pod}'s on node ${node}: only BGP, or the network, leads there`);
  return {
    what,
    text: `${address} should lead to ${pod} here, but the table ${agentTables.floating} lacks it`,
    verdict: "wrong",
    remedy: askAgent,
  };
}

/**
 * Forgets UDP flows to host ports. A flow keeps the translation it began with: without this, packets of a client that never pauses
 * would go to the container that had the port before, or to nobody, and would not reach the new one.
 */
import type { Sys } from "../host/sys.ts";
import { deleteFlow, deleteUdpFlows, dumpFlows, readUdpFlow } from "../netlink/conntrack.ts";
import { Conversation } from "./conversation.ts";
import { refusal, refusedWith } from "./refusal.ts";

/** Throws `CniError` 100 when the kernel refuses; a kernel without connection tracking refuses. */
export function forgetUdpFlows(families: readonly ("ip" | "ip6")[], ports: readonly number[], sys: Sys): void {
  const socket = sys.openNetlink("netfilter");
  const conversation = new Conversation(socket);
  try {
    for (const family of families) forget(conversation, family, ports);
  } finally {
    conversation.close();
  }
}

function forget(conversation: Conversation, family: "ip" | "ip6", ports: readonly number[]): void {
  const what = `forget UDP flows to port ${ports.join(", ")}`;
  const outcomes = conversation.exchange(ports.map((port) => deleteUdpFlows(family, port)));
  const refused = outcomes.find((outcome) => outcome.errno !== 0 && !refusedWith(outcome, "ENOENT"));
  if (refused === undefined) return;
  if (!refusedWith(refused, "EINVAL", "EOPNOTSUPP")) throw refusal(what, refused);
  const flows = conversation.dump(dumpFlows(family), what).flatMap((reply) => readUdpFlow(reply, ports) ?? []);
  for (const outcome of conversation.exchange(flows.map((flow) => deleteFlow(family, flow)))) {
    if (outcome.errno !== 0 && !refusedWith(outcome, "ENOENT")) throw refusal(what, outcome);
  }
}

/** The steps of the node that every way has: the host interface, forwarding, the neighbour entry of a pod, and the way back. */
import { sysctlName } from "../doctor/reach/sysctl.ts";
import { divertedBy } from "./diverted.ts";
import type { LocalPod, Target, TraceFacts } from "./facts.ts";
import { describeRoute, type Judged, linkHop, refusedBy, repair, unaskedText, unchecked } from "./judged.ts";

export function hostInterface(facts: TraceFacts, { hostInterface: what }: LocalPod): Judged {
  return linkHop(facts, what, repair);
}

export function forwarding({ family, source, sysctls, route }: TraceFacts): Judged {
  const what = "forwarding";
  // Of IPv4, replies need it at the interface where they arrive.
  const back = family === 4 && route.kind === "route" ? [route.dev] : [];
  const paths = [
    family === 4 ? "net/ipv4/ip_forward" : "net/ipv6/conf/all/forwarding",
    ...[source.hostInterface, ...back].map((link) => `net/ipv${family}/conf/${link}/forwarding`),
  ];
  const off = [...new Set(paths)].filter((path) => sysctls.get(path) === "0");
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
  return isRead ? { what, text: "is on", verdict: "good" } : unchecked(what, "could not be read");
}

/** How the node addresses frames to a pod of its own. */
export function podNeighbour({ family }: TraceFacts, target: Extract<Target, { kind: "local pod" }>): Judged {
  const { pod, receiver, neighbour } = target;
  const what = `${family === 4 ? "ARP for" : "neighbour"} ${pod.address}`;
  const mac = receiver.link?.mac;
  const remedy = `ip neighbour delete ${pod.address} dev ${pod.hostInterface}`;
  switch (neighbour.kind) {
    case "unread":
      return unchecked(what, `could not be read: ${neighbour.reason}`);
    case "missing":
      return { what, text: "is asked for with the first packet", verdict: "good" };
    case "silent":
      return { what, text: `the pod did not answer (${neighbour.state})`, verdict: "wrong", remedy };
    case "found":
      if (mac === undefined) return unchecked(what, `is ${neighbour.value}; the pod's MAC address is not known`);
      if (neighbour.value === mac) return { what, text: `is ${mac}, which is the pod's`, verdict: "good" };
      return {
        what,
        text: `is ${neighbour.value}, but the pod has ${mac}: it drops the packet`,
        verdict: "wrong",
        remedy,
      };
  }
}

/** The route by which replies go back to the pod. */
export function replyHop(facts: TraceFacts): Judged {
  const { reply, source, target, route } = facts;
  const what = "reply";
  if (reply.kind === "unasked") return unchecked(what, unaskedText(reply));
  if (reply.kind === "refused") {
    const iif = route.kind === "route" ? route.dev : "";
    const { text, remedy = repair } = refusedBy(facts, reply, { from: target.address, iif });
    return { what, text: `${text}: there is no way back to ${source.address}`, verdict: "wrong", remedy };
  }
  if (reply.dev !== source.hostInterface)
    return {
      what,
      text: `${describeRoute(reply)}: the pod is behind ${source.hostInterface}${divertedBy(facts, reply)}`,
      verdict: "wrong",
      remedy: `ip route get ${source.address}; ip rule`,
    };
  return { what, text: describeRoute(reply), verdict: "good" };
}

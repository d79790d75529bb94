/** The steps in a pod: its interface, its route, and the gateway's MAC address. */
import { gateway4, gateway6 } from "../../../plugins/calico/names.ts";
import { familyOf } from "../../net/address.ts";
import { sysctlName } from "../doctor/reach/sysctl.ts";
import type { LocalPod, PodFacts, TraceFacts } from "./facts.ts";
import { describeRoute, type Judged, repair, unaskedText, unchecked } from "./judged.ts";

export function podInterface({ ifname, address, netns }: LocalPod, { link, unread }: PodFacts): Judged {
  const what = ifname;
  if (unread !== undefined) return unchecked(what, `could not be read: ${unread}`);
  if (link === undefined)
    return {
      what,
      text: `its namespace ${netns} is gone, or has no ${ifname}`,
      verdict: "wrong",
      remedy: repair,
    };
  if (!link.addresses.includes(address))
    return { what, text: `does not have ${address}`, verdict: "wrong", remedy: repair };
  if (!link.isUp || !link.hasCarrier)
    return {
      what,
      text: link.isUp ? "has no carrier" : "is down",
      verdict: "wrong",
      remedy: `nsenter --net=${netns} ip link set ${ifname} up`,
    };
  return { what, text: `${address}, ${link.mac ?? "no MAC address"}, MTU ${link.mtu}`, verdict: "good" };
}

/** `to`: the address at the other end. */
export function podRoute(source: LocalPod, { route }: PodFacts, to: string): Judged {
  const what = "route";
  const family = familyOf(to);
  const gateway = family === 4 ? gateway4 : gateway6;
  const version = family === 4 ? "" : "-6 ";
  const add = `nsenter --net=${source.netns} ip ${version}route replace default via ${gateway} dev ${source.ifname}${family === 4 ? " onlink" : ""}`;
  if (route.kind === "unasked") return unchecked(what, unaskedText(route));
  if (route.kind === "refused")
    return { what, text: `the pod has no route to ${to}: ${route.reason}`, verdict: "wrong", remedy: add };
  if (route.dev !== source.ifname)
    return {
      what,
      text: `${to} leaves by ${route.dev}, not by ${source.ifname}: another network of the pod has a more specific route`,
      verdict: "unchecked",
    };
  return { what, text: describeRoute(route), verdict: "good" };
}

export function gatewayEntry({ links, sysctls, family }: TraceFacts, source: LocalPod, inside: PodFacts): Judged {
  const { route, gateway: entry } = inside;
  const gateway = route.kind === "route" ? route.gateway : undefined;
  const mac = links?.get(source.hostInterface)?.mac;
  if (gateway === undefined) return unchecked("gateway", "the route has none");
  const what = family === 4 ? `ARP for ${gateway}` : `neighbour ${gateway}`;
  const proxyArp = `net/ipv4/conf/${source.hostInterface}/proxy_arp`;
  if (entry.kind === "unread") return unchecked(what, `could not be read: ${entry.reason}`);
  if (entry.kind === "found" && mac === undefined)
    return unchecked(what, `is ${entry.value}; the MAC address of ${source.hostInterface} is not known`);
  if (entry.kind === "found" && entry.value === mac)
    return { what, text: `is ${mac}, which is ${source.hostInterface}'s`, verdict: "good" };
  if (entry.kind === "found")
    return {
      what,
      text: `is ${entry.value}, but ${source.hostInterface} has ${mac}: the node drops the packet`,
      verdict: "wrong",
      remedy: `nsenter --net=${source.netns} ip neighbour delete ${gateway} dev ${source.ifname}`,
    };
  if (entry.kind === "silent" && (family === 6 || sysctls.get(proxyArp) === "1"))
    return unchecked(what, `did not answer before (${entry.state}): it is asked for again with the next packet`);
  if (family === 6) return unchecked(what, "is asked for with the first packet");
  if (!sysctls.has(proxyArp)) return unchecked(what, `proxy_arp of ${source.hostInterface} could not be read`);
  if (sysctls.get(proxyArp) === "1") return { what, text: "the node will answer by proxy ARP", verdict: "good" };
  return {
    what,
    text: `nobody answers: proxy_arp of ${source.hostInterface} is off`,
    verdict: "wrong",
    remedy: `sysctl -w ${sysctlName(proxyArp)}=1`,
  };
}

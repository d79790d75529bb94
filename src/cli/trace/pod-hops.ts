/** The steps in a pod: its interface, its route, and the gateway's MAC address. */
import { gateway4, gateway6, hostMac } from "../../../plugins/calico/names.ts";
import { familyOf } from "../../net/address.ts";
import { sysctlName } from "../doctor/reach/sysctl.ts";
import type { LocalPod, PodFacts, TraceFacts } from "./facts.ts";
import { describeRoute, type Judged, repair } from "./judged.ts";

export function podInterface({ ifname, address, netns }: LocalPod, { link, addresses, unread }: PodFacts): Judged {
  const what = ifname;
  if (unread !== undefined) return { what, text: `could not be read: ${unread}`, verdict: "unchecked" };
  if (link === undefined)
    return {
      what,
      text: `its namespace ${netns} is gone, or has no ${ifname}`,
      verdict: "wrong",
      remedy: repair,
    };
  if (!addresses.includes(address)) return { what, text: `does not have ${address}`, verdict: "wrong", remedy: repair };
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
  if (route.kind === "unasked") return { what, text: "could not be asked for", verdict: "unchecked" };
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
  const { route, gatewayMac } = inside;
  const gateway = route.kind === "route" ? route.gateway : undefined;
  const mac = links.get(source.hostInterface)?.mac ?? hostMac;
  if (gateway === undefined) return { what: "gateway", text: "the route has none", verdict: "unchecked" };
  const what = family === 4 ? `ARP for ${gateway}` : `neighbour ${gateway}`;
  if (gatewayMac === mac) return { what, text: `is ${mac}, which is ${source.hostInterface}'s`, verdict: "good" };
  if (gatewayMac !== undefined)
    return {
      what,
      text: `is ${gatewayMac}, but ${source.hostInterface} has ${mac}: the node drops the packet`,
      verdict: "wrong",
      remedy: `nsenter --net=${source.netns} ip neighbour delete ${gateway} dev ${source.ifname}`,
    };
  if (family === 6) return { what, text: "is asked for with the first packet", verdict: "unchecked" };
  const path = `net/ipv4/conf/${source.hostInterface}/proxy_arp`;
  if (!sysctls.has(path))
    return { what, text: `proxy_arp of ${source.hostInterface} could not be read`, verdict: "unchecked" };
  if (sysctls.get(path) === "1") return { what, text: "the node will answer by proxy ARP", verdict: "good" };
  return {
    what,
    text: `nobody answers: proxy_arp of ${source.hostInterface} is off`,
    verdict: "wrong",
    remedy: `sysctl -w ${sysctlName(path)}=1`,
  };
}

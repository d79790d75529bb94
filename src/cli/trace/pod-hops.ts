/** The steps in a pod: its interface, its route, and the gateway's MAC address. */
import { gateway4, gateway6, hostMac } from "../../../plugins/calico/names.ts";
import type { LocalPod, PodFacts, TraceFacts } from "./facts.ts";
import { describeRoute, type Judged, repair } from "./judged.ts";

export function podInterface({ ifname, address, netns }: LocalPod, { link, addresses }: PodFacts): Judged {
  const what = ifname;
  if (link === undefined)
    return {
      what,
      text: `its namespace ${netns} has no ${ifname}, or cannot be entered`,
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

export function podRoute({ source, sender, target, family }: TraceFacts): Judged {
  const what = "route";
  const { route } = sender;
  const gateway = family === 4 ? gateway4 : gateway6;
  const version = family === 4 ? "" : "-6 ";
  const add = `nsenter --net=${source.netns} ip ${version}route replace default via ${gateway} dev ${source.ifname}${family === 4 ? " onlink" : ""}`;
  if (route.kind === "unasked") return { what, text: "could not be asked for", verdict: "unchecked" };
  if (route.kind === "refused")
    return { what, text: `the pod has no route to ${target.address}: ${route.reason}`, verdict: "wrong", remedy: add };
  if (route.dev !== source.ifname)
    return {
      what,
      text: `${target.address} leaves by ${route.dev}, not by ${source.ifname}: another network of the pod has a more specific route`,
      verdict: "unchecked",
    };
  return { what, text: describeRoute(route), verdict: "good" };
}

export function gatewayEntry({ sender, source, links, sysctls, family }: TraceFacts): Judged {
  const { route, gatewayMac } = sender;
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
  if (sysctls.get(path) === "1") return { what, text: "the node will answer by proxy ARP", verdict: "good" };
  return {
    what,
    text: `nobody answers: proxy_arp of ${source.hostInterface} is off`,
    verdict: "wrong",
    remedy: `sysctl -w ${path.replaceAll("/", ".")}=1`,
  };
}

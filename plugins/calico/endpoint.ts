/**
 * The plan of one endpoint, a pure function:
 *
 *     host                                               │ sandbox
 *                                                        │
 *     10.0.0.5/32 dev cali… scope link                   │   default via 169.254.1.1 dev eth0
 *            │                                           │   169.254.1.1 dev eth0 scope link
 *            ▼                                           │        │
 *     cali…  ee:ee:ee:ee:ee:ee   proxy_arp, forwarding ──┼── eth0  10.0.0.5/32
 *            fe80::ecee:eeff:feee:eeee                   │         fd00::5/128
 *                                                        │   default via fe80::ecee:eeff:feee:eeee dev eth0
 *
 * The host answers ARP for 169.254.1.1 (and for all addresses that it has a route to) with its own MAC address: the pod needs no subnet, bridge
 * or gateway address. IPv6's gateway is the link-local address that the kernel derives from that MAC address. The pod has permanent entries for
 * both neighbours.
 */
import { familyOf } from "../../src/net/address.ts";
import type { Place, Resource, Sysctl } from "../../src/plan/resource.ts";
import { gateway4, gateway6, hostMac } from "./names.ts";
import { planRoutes, type RoutedInterface } from "./routes.ts";

export interface EndpointSpec extends RoutedInterface {
  readonly hostInterface: string;
  readonly mac: string;
  /** 0: the kernel's default. */
  readonly mtu: number;
  readonly queues: number;
  readonly allowIpForwarding: boolean;
  /** Whether the pod has permanent neighbour entries for its gateways. */
  readonly knowsGateways: boolean;
}

export function planEndpoint(spec: EndpointSpec): readonly Resource[] {
  const v4 = spec.addresses.filter((address) => familyOf(address) === 4);
  const v6 = spec.addresses.filter((address) => familyOf(address) === 6);
  return [
    {
      kind: "veth",
      host: { name: spec.hostInterface, mac: hostMac },
      sandbox: { name: spec.ifname, mac: spec.mac },
      mtu: spec.mtu,
      queues: spec.queues,
    },
    // The host must not accept router advertisements from the pod, whichever families the pod has.
    sysctl("host", `net/ipv6/conf/${spec.hostInterface}/accept_ra`, "0", bestEffort),
    ...(v4.length > 0 ? planIpv4(spec) : []),
    ...(v6.length > 0 ? planIpv6(spec) : []),
    { kind: "up", at: "host", link: spec.hostInterface },
    { kind: "up", at: "sandbox", link: spec.ifname },
    ...spec.addresses.map(
      (address): Resource => ({
        kind: "address",
        at: "sandbox",
        link: spec.ifname,
        address,
        noDad: familyOf(address) === 6,
      }),
    ),
    ...spec.addresses.map(
      (destination): Resource => ({ kind: "route", at: "host", link: spec.hostInterface, destination, scope: "link" }),
    ),
  ];
}

function planIpv4(spec: EndpointSpec): readonly Resource[] {
  const { hostInterface, ifname, allowIpForwarding, knowsGateways } = spec;
  const conf = `net/ipv4/conf/${hostInterface}`;
  return [
    // Lets 127.0.0.1:<host port> reach the pod; the guard of 127.0.0.0/8 in `natOutgoing` keeps pods out of the host's own loopback.
    sysctl("host", `${conf}/route_localnet`, "1"),
    // Without it the kernel answers a proxied ARP request only after a random delay of up to 0.8 s.
    sysctl("host", `net/ipv4/neigh/${hostInterface}/proxy_delay`, "0", bestEffort),
    sysctl("host", `${conf}/proxy_arp`, "1"),
    sysctl("host", `${conf}/forwarding`, "1"),
    sysctl("sandbox", "net/ipv4/ip_forward", allowIpForwarding ? "1" : "0", { initial: true }),
    ...(knowsGateways ? [neighbour(ifname, gateway4)] : []),
    ...planRoutes(spec, 4),
  ];
}

function planIpv6(spec: EndpointSpec): readonly Resource[] {
  const { hostInterface, ifname, allowIpForwarding, knowsGateways } = spec;
  const conf = `net/ipv6/conf/${hostInterface}`;
  return [
    // EUI-64: the gateway's address must be the one derived from the MAC address, whatever the machine's default is.
    sysctl("host", `${conf}/addr_gen_mode`, "0", bestEffort),
    sysctl("host", `${conf}/disable_ipv6`, "0"),
    sysctl("host", `${conf}/accept_dad`, "0"),
    sysctl("host", `${conf}/proxy_ndp`, "1"),
    // On a node that forwards, new links have it set already.
    sysctl("host", `${conf}/forwarding`, "1", { ifDifferent: true }),
    // Runtimes create sandboxes with IPv6 switched off.
    ...["all", "default", "lo", ifname].map((name) => sysctl("sandbox", `net/ipv6/conf/${name}/disable_ipv6`, "0")),
    // No duplicate address detection: it would keep the address from use for a second or more.
    sysctl("sandbox", `net/ipv6/conf/${ifname}/accept_dad`, "0"),
    sysctl("sandbox", "net/ipv6/conf/all/forwarding", allowIpForwarding ? "1" : "0", { initial: true }),
    ...(knowsGateways ? [neighbour(ifname, gateway6)] : []),
    ...planRoutes(spec, 6),
  ];
}

/**
 * The gateway's MAC address is known. With a permanent entry a pod sends its first packet at once, and also on a node without a default route,
 * whose kernel would not answer for 169.254.1.1 (proxy ARP only answers for addresses that the node itself could route to).
 */
function neighbour(link: string, address: string): Resource {
  return { kind: "neighbour", at: "sandbox", link, address, mac: hostMac };
}

/** Not essential: a pod works if the kernel refuses the write, or if another program changes the value later. */
const bestEffort = { optional: true, initial: true };

function sysctl(
  at: Place,
  path: string,
  value: string,
  more: Partial<Pick<Sysctl, "optional" | "initial" | "ifDifferent">> = {},
): Sysctl {
  return { kind: "sysctl", at, path, value, ...more };
}

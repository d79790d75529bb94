/**
 * The objects of an ADD of `ptp`, for 10.22.0.5/16 with the gateway 10.22.0.1:
 *
 *     sandbox                                          host
 *     eth0  10.22.0.5/16 ─────────── veth ───────────  veth1a2b3c4d  10.22.0.1/32
 *       10.22.0.1    scope link src 10.22.0.5            10.22.0.5    scope host
 *       10.22.0.0/16 via 10.22.0.1 src 10.22.0.5
 *       the IPAM plugin's routes via 10.22.0.1
 */
import type { Result } from "../../src/cni/result.ts";
import type { Sys } from "../../src/host/sys.ts";
import { type Attachment, ownerOf } from "../../src/identity/attachment.ts";
import { familyOf } from "../../src/net/address.ts";
import { sha1 } from "../../src/net/digest.ts";
import { addressOf, hostPrefix, maskPrefix } from "../../src/net/prefix.ts";
import type { Place, Plan, Resource, Route, Sysctl } from "../../src/plan/resource.ts";
import { planForwarding } from "../../src/plugin/forwarding.ts";
import type { PlanAdd } from "../../src/plugin/planned.ts";
import type { PtpConf } from "./conf.ts";
import { planMasquerade } from "./masquerade.ts";
import { type Wanted, type WantedIp, wantedAtAdd } from "./wanted.ts";

export function planOf(attachment: Attachment, wanted: Wanted, masquerades: boolean, sys: Sys): Plan {
  const { hostInterface, hostMac, ifname, mac, mtu, ips } = wanted;
  const addresses = ips.map(({ address }) => address);
  const end = (name: string, known: string | undefined) => (known === undefined ? { name } : { name, mac: known });
  return {
    owner: ownerOf(attachment),
    resources: [
      ...planForwarding(sys, addresses),
      { kind: "veth", host: end(hostInterface, hostMac), sandbox: end(ifname, mac), mtu },
      // The host must not accept router advertisements on this link, whichever families the container has.
      sysctl("host", `net/ipv6/conf/${hostInterface}/accept_ra`, "0", bestEffort),
      ...(addresses.some((address) => familyOf(address) === 6) ? planIpv6(wanted) : []),
      { kind: "up", at: "host", link: hostInterface },
      { kind: "up", at: "sandbox", link: ifname },
      ...ips.map(({ address }): Resource => planAddress("sandbox", ifname, address)),
      ...gatewaysOf(ips).map(({ gateway }) => planAddress("host", hostInterface, hostPrefix(gateway))),
      ...planRoutes(wanted),
      ...(masquerades ? planMasquerade(addresses) : []),
    ],
  };
}

export const planAdd: PlanAdd<PtpConf> = ({ attachment, netns, conf }, { sys, ipam }) => {
  const wanted = wantedAtAdd(attachment, conf, ipam);
  return {
    plan: planOf(attachment, wanted, conf.masquerades, sys),
    result: resultOf(wanted, netns, conf, ipam),
    commands: [],
  };
};

/** The result of ADD, as the reference plugin's: two interfaces, and the addresses of the second. */
export function resultOf(wanted: Wanted, netns: string, conf: PtpConf, ipam: Result): Result {
  const { hostInterface, hostMac, ifname, mac, mtu } = wanted;
  const { ips = [], routes, dns } = ipam;
  const chosen = conf.dns ?? dns;
  return {
    interfaces: [
      { name: hostInterface, ...(hostMac && { mac: hostMac }) },
      { name: ifname, ...(mac && { mac }), ...(mtu > 0 && { mtu }), sandbox: netns },
    ],
    ips: ips.map((ip) => ({ ...ip, interface: 1 })),
    ...(routes && { routes }),
    ...(chosen && { dns: chosen }),
  };
}

function planIpv6({ hostInterface, ifname }: Wanted): readonly Resource[] {
  return [
    sysctl("host", `net/ipv6/conf/${hostInterface}/disable_ipv6`, "0"),
    // Runtimes create sandboxes with IPv6 disabled.
    ...["lo", ifname].map((name) => sysctl("sandbox", `net/ipv6/conf/${name}/disable_ipv6`, "0")),
    sysctl("sandbox", `net/ipv6/conf/${ifname}/keep_addr_on_down`, "1", bestEffort),
  ];
}

/** The container sends everything through the host, so the kernel must not add a route to the subnet. */
function planAddress(at: Place, link: string, address: string): Resource {
  return { kind: "address", at, link, address, noDad: familyOf(address) === 6, noPrefixRoute: at === "sandbox" };
}

/** `eth0` may have the same gateway and subnet: the routes of other interfaces have a metric, and come after it. */
function planRoutes(wanted: Wanted): readonly Route[] {
  const routes = routesOf(wanted);
  if (wanted.ifname === "eth0") return routes;
  const metric = behindMain + Number.parseInt(sha1(wanted.ifname).slice(0, 4), 16);
  return routes.map((route) =>
    route.at === "host" || route.priority !== undefined ? route : { ...route, priority: metric },
  );
}

/** After the metrics that the kernel assigns (IPv6's is 1024). */
const behindMain = 1025;

function routesOf({ hostInterface, ifname, ips, routes }: Wanted): readonly Route[] {
  const inside = { kind: "route", at: "sandbox", link: ifname } as const;
  const subnets = ips.map(({ address }) => maskPrefix(address));
  return [
    ...gatewaysOf(ips).map(({ address, gateway }): Route => {
      return { ...inside, destination: hostPrefix(gateway), scope: "link", source: addressOf(address) };
    }),
    ...ips
      .filter(
        ({ address }, at) => address !== hostPrefix(addressOf(address)) && subnets.indexOf(maskPrefix(address)) === at,
      )
      .map(({ address, gateway }): Route => {
        return { ...inside, destination: maskPrefix(address), gateway, source: addressOf(address) };
      }),
    ...routes
      .filter(({ dst, table, priority }) => table !== undefined || priority !== undefined || !subnets.includes(dst))
      .map(({ dst, gw, mtu, advmss, priority, table, scope }): Route => {
        const gateway = gw ?? ips.find(({ address }) => familyOf(address) === familyOf(dst))?.gateway;
        return {
          ...inside,
          destination: dst,
          ...(gateway !== undefined && { gateway }),
          ...(mtu !== undefined && { mtu }),
          ...(advmss !== undefined && { advmss }),
          ...(priority !== undefined && { priority }),
          ...(table !== undefined && { table }),
          ...(scope !== undefined && { scope }),
        };
      }),
    ...ips.map(({ address }): Route => {
      const destination = hostPrefix(addressOf(address));
      return { kind: "route", at: "host", link: hostInterface, destination, scope: "host" };
    }),
  ];
}

/** Several addresses may have the same gateway. */
function gatewaysOf(ips: readonly WantedIp[]): readonly WantedIp[] {
  return ips.filter((ip, at) => ips.findIndex(({ gateway }) => gateway === ip.gateway) === at);
}

/** Useful, but not required. */
const bestEffort = { optional: true, initial: true };

function sysctl(at: Place, path: string, value: string, more: Partial<Sysctl> = {}): Sysctl {
  return { kind: "sysctl", at, path, value, ...more };
}

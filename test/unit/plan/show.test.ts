import { describe, expect, test } from "vitest";
import { describeRoute } from "../../../src/plan/describe.ts";
import type { Resource, Route } from "../../../src/plan/resource.ts";
import { show } from "../../../src/plan/show.ts";
import { endpointPlan } from "../dataplane/scene.ts";

describe("show()", () => {
  test("prints the commands in the order in which apply() works", () => {
    expect(show(endpointPlan()).join("\n")).toBe(
      `
ip link add bwp5 mtu 1440 txqueuelen 0 type ifb
ip link set dev bwp5 alias tortie:net/c5/eth0
ip link add cali5 address ee:ee:ee:ee:ee:ee mtu 1440 type veth peer name eth0 address 02:00:00:00:00:05 mtu 1440 netns "$CNI_NETNS"
ip link set dev cali5 alias tortie:net/c5/eth0
sysctl -q -w net/ipv4/conf/cali5/proxy_arp=1
nsenter --net="$CNI_NETNS" sysctl -q -w net/ipv6/conf/eth0/accept_dad=0
nsenter --net="$CNI_NETNS" sysctl -q -w net/ipv4/ip_forward=0
ip link set dev bwp5 up
ip link set dev cali5 up
nsenter --net="$CNI_NETNS" ip link set dev eth0 up
nsenter --net="$CNI_NETNS" ip address add 10.0.0.5/32 dev eth0
nsenter --net="$CNI_NETNS" ip address add fd00::5/128 dev eth0 nodad
nsenter --net="$CNI_NETNS" ip neighbour add 169.254.1.1 lladdr ee:ee:ee:ee:ee:ee dev eth0 nud permanent
ip route add 10.0.0.5/32 dev cali5 scope link
ip -6 route add fd00::5/128 dev cali5
nsenter --net="$CNI_NETNS" ip route add 169.254.1.1/32 dev eth0 scope link
nsenter --net="$CNI_NETNS" ip route add 0.0.0.0/0 via 169.254.1.1 dev eth0 mtu 1400
nsenter --net="$CNI_NETNS" ip -6 route add ::/0 via fe80::ecee:eeff:feee:eeee dev eth0
tc qdisc add dev cali5 root handle 1: tbf rate 125000bps burst 125000 limit 128125
tc qdisc add dev cali5 handle ffff: ingress
tc filter add dev cali5 parent ffff: protocol all pref 1 u32 match u32 0 0 flowid 1:1 action mirred egress redirect dev bwp5
`.trim(),
    );
  });

  test.each<[string, Resource, string]>([
    [
      "an optional sysctl",
      { kind: "sysctl", at: "host", path: "net/ipv4/conf/a.b/proxy_arp", value: "1", optional: true },
      "sysctl -q -w net/ipv4/conf/a.b/proxy_arp=1 || true",
    ],
    [
      "a value with white space",
      { kind: "sysctl", at: "host", path: "net/ipv4/ping_group_range", value: "0 10" },
      "sysctl -q -w 'net/ipv4/ping_group_range=0 10'",
    ],
    [
      "a quote in a value",
      { kind: "sysctl", at: "host", path: "kernel/domainname", value: "it's" },
      "sysctl -q -w 'kernel/domainname=it'\\''s'",
    ],
  ])("prints %s for a shell", (_, resource, command) => {
    expect(show({ owner: "o", resources: [resource] })).toEqual([command]);
  });
});

describe("describeRoute()", () => {
  const route: Route = { kind: "route", at: "host", link: "eth0", destination: "10.0.0.0/8" };

  test.each<[Partial<Route>, string]>([
    [{}, "10.0.0.0/8 dev eth0 scope link"],
    [{ scope: "global" }, "10.0.0.0/8 dev eth0 scope global"],
    [{ scope: 253 }, "10.0.0.0/8 dev eth0 scope link"],
    [{ scope: 50 }, "10.0.0.0/8 dev eth0 scope 50"],
    [{ gateway: "10.0.0.1" }, "10.0.0.0/8 via 10.0.0.1 dev eth0"],
    [{ gateway: "10.0.0.1", scope: "site" }, "10.0.0.0/8 via 10.0.0.1 dev eth0 scope site"],
    [{ destination: "fd00::/8", scope: "link" }, "fd00::/8 dev eth0"],
    [
      { table: 1000, priority: 7, source: "10.0.0.2", mtu: 1400, advmss: 1360 },
      "10.0.0.0/8 dev eth0 scope link table 1000 metric 7 src 10.0.0.2 mtu 1400 advmss 1360",
    ],
  ])("%j reads %s", (more, text) => {
    expect(describeRoute({ ...route, ...more })).toBe(text);
  });
});

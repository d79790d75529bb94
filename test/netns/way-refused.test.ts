/** `tortie trace` where the kernel refuses or diverts a packet, at host ports, and without the programs that it reads with. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { outsideAddress4, systemPath } from "../lib/node/netns.ts";
import { traceCommand, traced, wrongHop } from "../lib/node/trace.ts";
import { type Fault, hostPort, TraceNode } from "../lib/node/trace-node.ts";
import { requireBuild } from "../lib/suite.ts";

let here: TraceNode;

beforeAll(async () => {
  requireBuild();
  here = await TraceNode.start();
});
afterAll(() => here?.stop());

const faults: readonly Fault[] = [
  {
    name: "a blackhole route has the pod's address",
    script: "ip route replace blackhole $B4",
    undo: "ip route replace $B4 dev $B scope link",
    finds:
      /^node node-a: route: Invalid argument: the blackhole route 10\.[\d.]+ refuses it: there is no route to the pod$/,
  },
  {
    name: "a route refuses what leaves",
    script: `ip route add unreachable ${outsideAddress4}`,
    undo: `ip route delete unreachable ${outsideAddress4} || true`,
    to: outsideAddress4,
    finds: /^node node-a: route: No route to host: the unreachable route 203\.0\.113\.2 refuses it$/,
    mends: true,
  },
  {
    name: "a route of another table refuses what leaves",
    script: "ip rule add iif $A lookup 77 pref 60; ip route add prohibit default table 77",
    undo: "ip rule delete pref 60; ip route flush table 77",
    to: outsideAddress4,
    finds: /^node node-a: route: Permission denied: the prohibit route default of table 77 refuses it$/,
    mends: true,
  },
  {
    name: "a rule refuses packets to the other pod",
    script: "ip rule add to $B4 prohibit pref 50",
    undo: "ip rule delete pref 50 || true",
    finds: /^node node-a: route: Permission denied: IPv4 rule 50 \(from all to 10\.[\d.]+ prohibit\) refuses it/,
    mends: true,
  },
  {
    // The kernel looks up the way back before it lets the packet in.
    name: "a strict reverse path filter refuses the pod",
    script: `sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.$A.rp_filter=1
      ip rule add to $A4 iif uplink lookup 77 pref 60; ip route add default dev uplink table 77`,
    undo: "ip rule delete pref 60; ip route flush table 77",
    to: outsideAddress4,
    finds: /^node node-a: route: .*the reverse path filter of cali\w+ refuses 10\.[\d.]+ \(rp_filter=1: strict\)$/,
  },
  {
    name: "the node knows the other pod by a wrong MAC address",
    script: "ip neighbour replace $B4 lladdr 02:00:00:00:00:09 dev $B nud permanent",
    undo: "ip neighbour delete $B4 dev $B || true",
    finds: /^node node-a: ARP for 10\.[\d.]+: is 02:00:00:00:00:09, but the pod has [\w:]+: it drops the packet$/,
    mends: true,
  },
  {
    name: "the pod's packets are too large for its host interface",
    script: "ip link set $A mtu 1300",
    undo: "ip link set $A mtu 1500; ip -n a link set eth0 mtu 1500",
    finds: /^node node-a: MTU: the pod has 1500, and cali\w+ 1300: larger packets are lost$/,
    mends: true,
  },
  {
    name: "the uplink carries less than the pod sends",
    script: "ip link set uplink mtu 1400",
    undo: "ip link set uplink mtu 1500; ip -n a link set eth0 mtu 1500",
    to: outsideAddress4,
    finds: /^node node-a: MTU: the pod has 1500, and uplink 1400: large packets depend on ICMP$/,
    mends: true,
  },
  {
    name: "the uplink is down",
    script: "ip route show default > /run/default; ip link set uplink down; ip route add default dev uplink || true",
    undo: "ip link set uplink up; ip route replace $(cat /run/default)",
    to: outsideAddress4,
    finds: /^node node-a: route: Network is unreachable$/,
  },
  {
    name: "the uplink has no carrier",
    script: "ip -n outside link set $(ip -n outside -o link show type veth | sed 's/.*: \\([^@]*\\)@.*/\\1/') down",
    undo: "ip -n outside link set $(ip -n outside -o link show type veth | sed 's/.*: \\([^@]*\\)@.*/\\1/') up",
    to: outsideAddress4,
    finds: /^node node-a: (uplink: has no carrier|route: )/,
  },
  {
    name: "the machine outside has a wrong MAC address",
    script: `ip neighbour replace ${outsideAddress4} lladdr $(cat /sys/class/net/uplink/address || ip -j link show uplink | sed 's/.*"address":"\\([^"]*\\)".*/\\1/') dev uplink nud permanent`,
    undo: `ip neighbour delete ${outsideAddress4} dev uplink || true`,
    to: outsideAddress4,
    finds: /^node node-a: ARP for 203\.0\.113\.2: is [\w:]+, which is this node's uplink$/,
    mends: true,
  },
  {
    name: "nobody outside has the address",
    script: "ping -c 1 -W 1 203.0.113.77 > /dev/null || true",
    undo: "true",
    to: "203.0.113.77",
    finds: /^node node-a: ARP for 203\.0\.113\.77: does not answer \((FAILED|INCOMPLETE)\)$/,
  },
];

/** Programs whose rules cut pods off, as they make them. */
const programs: readonly Fault[] = [
  {
    name: "Calico's felix",
    script: "iptables -N cali-FORWARD; iptables -A FORWARD -j cali-FORWARD; iptables -A cali-FORWARD -j DROP",
    undo: "iptables -F FORWARD; iptables -F cali-FORWARD 2>/dev/null && iptables -X cali-FORWARD || true",
    finds: /^node node-a: firewall: iptables filter FORWARD \(Calico's felix\), by -A cali-FORWARD -j DROP, drops it$/,
    mends: true,
  },
  {
    name: "docker",
    script: "iptables -N DOCKER; iptables -P FORWARD DROP",
    undo: "iptables -P FORWARD ACCEPT; iptables -F FORWARD; iptables -X DOCKER",
    finds: /^node node-a: firewall: iptables filter FORWARD \(docker\), by its policy "drop", drops it$/,
    mends: true,
  },
  {
    name: "kube-router",
    script: `iptables -N KUBE-ROUTER-FORWARD; iptables -A FORWARD -j KUBE-ROUTER-FORWARD
      iptables -A KUBE-ROUTER-FORWARD -j REJECT`,
    undo: "iptables -F FORWARD; iptables -F KUBE-ROUTER-FORWARD; iptables -X KUBE-ROUTER-FORWARD",
    finds: /^node node-a: firewall: iptables filter FORWARD \(kube-router\), by -A KUBE-ROUTER-FORWARD -j REJECT/,
    mends: true,
  },
  {
    name: "firewalld",
    script:
      "nft 'add table inet firewalld; add chain inet firewalld filter_FORWARD { type filter hook forward priority 10; policy drop; }'",
    undo: "nft delete table inet firewalld",
    finds: /^node node-a: firewall: nft inet firewalld filter_FORWARD \(firewalld\), by its policy "drop", drops it$/,
  },
];

describe("finds at its step that packets are dropped by", () => {
  test.each(programs.map((fault) => [fault.name, fault] as const))("%s", async (_, fault) => {
    await here.expectFound(fault);
  });
});

describe("finds at its step that", () => {
  test.each(faults.map((fault) => [fault.name, fault] as const))("%s", async (_, fault) => {
    await here.expectFound(fault);
  });
});

test("a host port leads to its pod, and another one to the node", () => {
  const own = here.ownAddress();
  const { title, hops, conclusion } = traced(here.node, "a", `${own}:${hostPort}`);
  expect(title).toContain(`to default/b (${here.addresses[4]}) on this node, by the host port ${own}:${hostPort}`);
  expect(hops.find(({ what }) => what === "host port")).toMatchObject({ verdict: "good" });
  expect(conclusion).toMatch(/^Nothing/);
  const free = traced(here.node, "a", `${own}:${hostPort + 1}`);
  expect(free.hops.find(({ what }) => what === "host port")).toMatchObject({ verdict: "unchecked" });
  expect(traced(here.node, "a", `${own}:${hostPort}/udp`).hops.at(-1)?.text).toBe("is an address of this node");
});

describe("without a program that it reads with, its steps stay open", () => {
  /** The machine with these programs alone. */
  const having = (programs: readonly string[]) => {
    const links = programs.map((name) => `ln -s $(PATH=${systemPath} command -v ${name}) /run/some/${name}`);
    here.node.sh(["rm -rf /run/some; mkdir /run/some", ...links].join("\n"));
    return { run: (argv: readonly string[]) => here.node.run(argv, { env: { PATH: "/run/some" } }) };
  };
  const opened = (programs: readonly string[], target: string) => {
    const found = traced(having(programs), "a", target);
    expect(wrongHop(found)).toBe("");
    return found;
  };

  test("nft", () => {
    const { unread, hops } = opened(["ip", "nsenter"], outsideAddress4);
    expect(unread.join()).toContain('"nft" is not installed');
    for (const what of ["firewall", "natOutgoing"])
      expect(hops.find((hop) => hop.what === what)).toMatchObject({ verdict: "unchecked" });
  });

  test.each([
    ["ip", ["nft", "nsenter"]],
    ["nsenter", ["nft", "ip"]],
    ["all of them", []],
  ])("%s", (_, programs) => {
    const { hops } = opened(programs, here.addresses[4]);
    expect(hops[0]).toMatchObject({ what: "eth0", verdict: "unchecked" });
    if (!programs.includes("ip"))
      expect(hops.every(({ verdict, what }) => verdict !== "good" || what === "forwarding")).toBe(true);
    expect(here.node.run(traceCommand("a", "b"), { env: { PATH: "/run/some" } }).status).toBe(0);
  });
});

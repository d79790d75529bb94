/** `tortie trace` on a node's real tables: nothing is wrong on the way of a packet that arrives, and each fault is found at its step. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { outsideAddress4, outsideAddress6 } from "../lib/node/netns.ts";
import { traceCommand, traced } from "../lib/node/trace.ts";
import { type Fault, TraceNode } from "../lib/node/trace-node.ts";
import { requireBuild } from "../lib/suite.ts";

let here: TraceNode;

beforeAll(async () => {
  requireBuild();
  here = await TraceNode.start();
});
afterAll(() => here?.stop());

describe("nothing is wrong on the way", () => {
  test.each(["default/b", "b", "b-0a1b2c3d4e5f"])("between two pods, named %s", (to) => {
    if (to.includes("0a1b")) expect(() => traced(here.node, "a", to)).toThrow("neither a pod nor a node");
    else expect(traced(here.node, "a", to)).toMatchObject({ conclusion: "Nothing is wrong on the way.", unread: [] });
  });

  test("of both families, and its steps have an order", () => {
    for (const family of [4, 6] as const) {
      const { hops, title } = traced(here.node, "default/a", here.addresses[family]);
      expect(title).toContain(`to default/b (${here.addresses[family]}) on this node`);
      expect(hops.map(({ place, what }) => `${place}: ${what.split(" ")[0]}`)).toEqual([
        ...["eth0", "route", family === 4 ? "ARP" : "neighbour"].map((what) => `pod default/a: ${what}`),
        ...[here.link("A"), "forwarding", "firewall", "route"].map((what) => `node node-a: ${what}`),
        ...["MTU", here.link("B"), family === 4 ? "ARP" : "neighbour"].map((what) => `node node-a: ${what}`),
        ...["eth0", "route", family === 4 ? "ARP" : "neighbour"].map((what) => `pod default/b: ${what}`),
        ...["reply", "firewall,"].map((what) => `node node-a: ${what}`),
      ]);
    }
  });

  test("to the outside and to the node, as far as it is seen", () => {
    for (const target of [outsideAddress4, outsideAddress6]) {
      const { hops, conclusion } = traced(here.node, "a", target);
      expect(conclusion).toMatch(/^Nothing that could be checked is wrong; [12] steps? could not/);
      expect(hops.find(({ what }) => what === "natOutgoing")).toMatchObject({ verdict: "good" });
    }
    const own = here.ownAddress();
    expect(traced(here.node, "a", own).hops.at(-1)).toMatchObject({ what: own, text: "is an address of this node" });
  });

  test("as text and as a picture", () => {
    const text = here.node.run([...traceCommand("a", "b")]);
    expect(text.status).toBe(0);
    expect(text.stdout).toMatch(/ 1 ok {4}eth0 .*\n.* 2 ok {4}route +default via 169\.254\.1\.1 dev eth0\n/);
    expect(here.node.run([...traceCommand("a", "b"), "-o", "svg"]).stdout).toMatch(
      /^<svg [\s\S]*default\/b[\s\S]*<\/svg>\n$/,
    );
  });
});

const chain = "nft 'add table inet fw; add chain inet fw f { type filter hook forward priority 0; policy";

const faults: readonly Fault[] = [
  {
    name: "the pod's interface is down",
    script: "ip -n a link set eth0 down",
    undo: "ip -n a link set eth0 up; ip -n a route replace 169.254.1.1 dev eth0 scope link; ip -n a route replace default via 169.254.1.1 dev eth0",
    finds: /^pod default\/a: eth0: is down$/,
  },
  {
    name: "the pod lost its address",
    script: "ip -n a address delete $A4/32 dev eth0",
    undo: "ip -n a address add $A4/32 dev eth0; ip -n a route replace 169.254.1.1 dev eth0 scope link; ip -n a route replace default via 169.254.1.1 dev eth0",
    finds: /^pod default\/a: eth0: does not have 10\./,
  },
  {
    name: "the pod lost its default route",
    script: "ip -n a route delete default",
    undo: "true",
    finds: /^pod default\/a: route: the pod has no route to 10\..*: Network is unreachable$/,
    mends: true,
  },
  {
    name: "the pod's gateway has a wrong MAC address",
    script: "ip -n a neighbour replace 169.254.1.1 lladdr 02:00:00:00:00:01 dev eth0",
    undo: "true",
    finds: /^pod default\/a: ARP for 169\.254\.1\.1: is 02:00:00:00:00:01, but cali\w+ has ee:ee:ee:ee:ee:ee/,
    mends: true,
  },
  {
    name: "nobody answers the pod's ARP",
    script: "ip -n a neighbour flush dev eth0; sysctl -qw net.ipv4.conf.$A.proxy_arp=0",
    undo: "true",
    finds: /^pod default\/a: ARP for 169\.254\.1\.1: nobody answers: proxy_arp of cali\w+ is off$/,
    mends: true,
  },
  {
    name: "the host interface is down",
    script: "ip link set $A down",
    undo: "ip link set $A up; ip route replace $A4 dev $A scope link",
    finds: /^pod default\/a: eth0: has no carrier$/,
  },
  {
    name: "forwarding is off",
    script: "sysctl -qw net.ipv4.ip_forward=0",
    undo: "true",
    finds: /^node node-a: forwarding: is off: net\.ipv4\.ip_forward( and [\w.]+)? is 0$/,
    mends: true,
  },
  {
    name: "a policy drops forwarded packets",
    script: `${chain} drop; }'`,
    undo: "nft delete table inet fw",
    finds: /^node node-a: firewall: .*fw.*policy "drop", drops it$/,
  },
  {
    name: "a rule drops packets to the other pod",
    script: `${chain} accept; }'; nft add rule inet fw f ip daddr $B4 drop`,
    undo: "nft delete table inet fw",
    finds: /^node node-a: firewall: nft inet fw f, by rule \d+, drops it$/,
  },
  {
    name: "a rule drops replies",
    script: `${chain} accept; }'; nft add rule inet fw f ct state established drop`,
    undo: "nft delete table inet fw",
    finds: /^node node-a: firewall, reply: .*drops it$/,
  },
  {
    name: "the other pod's route is gone",
    script: "ip route delete $B4",
    undo: "ip route replace $B4 dev $B scope link",
    finds:
      /^node node-a: route: Invalid argument: the blackhole route 10\.[\d./]+ refuses it: there is no route to the pod$/,
  },
  {
    name: "the other pod's route leads elsewhere",
    script: "ip route replace $B4 dev uplink",
    undo: "ip route replace $B4 dev $B scope link",
    finds: /^node node-a: route: .*dev uplink: the pod is behind cali/,
  },
  {
    name: "the way back leads elsewhere",
    script: "ip rule add to $A4 iif $B lookup 77; ip route add default dev uplink table 77",
    undo: "ip rule delete to $A4 iif $B lookup 77; ip route flush table 77",
    finds: /^node node-a: reply: .*dev uplink table 77: the pod is behind cali\w+; rule \d+ \(.*\) diverts it$/,
  },
  {
    name: "the other pod is down",
    script: "ip -n b link set eth0 down",
    undo: "ip -n b link set eth0 up; ip -n b route replace 169.254.1.1 dev eth0 scope link; ip -n b route replace default via 169.254.1.1 dev eth0",
    finds: /^node node-a: cali\w+: has no carrier/,
  },
  {
    name: "the other pod lost its default route",
    script: "ip -n b route delete default",
    undo: "true",
    finds: /^pod default\/b: route: the pod has no route to 10\..*: Network is unreachable$/,
    mends: true,
  },
  {
    name: "a policy drops what leaves the node",
    script: `${chain.replace("hook forward", "hook postrouting")} drop; }'`,
    undo: "nft delete table inet fw",
    finds: /^node node-a: firewall: .*policy "drop", drops it$/,
  },
  {
    name: "a policy drops packets to the node",
    script: `${chain.replace("hook forward", "hook input")} drop; }'`,
    undo: "nft delete table inet fw",
    to: "uplink",
    finds: /^node node-a: firewall: .*policy "drop", drops it$/,
  },
  {
    name: "natOutgoing lost the pool",
    script:
      "nft list table ip tortie > /run/tortie.nft; nft list table ip tortie | awk '/set /{print $2}' | xargs -n1 nft flush set ip tortie",
    undo: "nft delete table ip tortie; nft -f /run/tortie.nft",
    to: outsideAddress4,
    finds: /^node node-a: natOutgoing: the table tortie lacks the pool 10\./,
  },
  {
    name: "nobody has the address",
    script: "true",
    undo: "true",
    to: "10.244.255.9",
    finds: /^node node-a: route: no pod has 10\.244\.255\.9 \(no block of the pool contains it\)/,
  },
  {
    name: "natOutgoing is gone",
    script: "nft list table ip tortie > /run/tortie.nft; nft delete table ip tortie",
    undo: "nft -f /run/tortie.nft",
    to: outsideAddress4,
    finds: /^node node-a: natOutgoing: the table tortie is missing/,
  },
  {
    name: "the default route is gone",
    script: "ip route show default > /run/default; ip route delete default",
    undo: "ip route replace $(cat /run/default)",
    to: "198.51.100.7",
    finds: /^node node-a: route: Network is unreachable$/,
  },
];

describe("finds at its step that", () => {
  test.each(faults.map((fault) => [fault.name, fault] as const))("%s", async (_, fault) => {
    await here.expectFound(fault);
  });
});

test("a pod that is not here is refused in one line", () => {
  const { status, stderr, stdout } = here.node.run([...traceCommand("default/nobody", "b")]);
  expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
  expect(stderr).toMatch(
    /^tortie: cannot trace from "default\/nobody": no pod of node "node-a" has this name or address[^\n]*\n$/,
  );
});

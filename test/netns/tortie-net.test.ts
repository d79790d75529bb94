/** `tortie-net apply` on the real kernel: two nodes with VXLAN between them, devices that differ, foreign objects, and the firewall of a tunnel. */
import { afterEach, beforeAll, expect, test } from "vitest";
import { guardScopes, planTunnelGuard } from "../../src/agent/network/tunnel-guard.ts";
import type { NodePlan, NodeResource } from "../../src/plan/node-plan.ts";
import { Node, nodeAddress4, nodeAddress6, outsideAddress4, outsideAddress6 } from "../lib/node/netns.ts";
import { diff, snapshot } from "../lib/node/snapshot.ts";
import { applyPlan, device, macOf, ownDevice, peer, scopes, tortieNet } from "../lib/node/tortie-net.ts";
import { requireBuild } from "../lib/suite.ts";

const at = "host";
const outside = { in: "outside" };
const uplink = "uplink";

let node: Node;

beforeAll(requireBuild);
beforeAll(async () => {
  node = await Node.start("node");
  return () => node.stop();
});
afterEach(() => {
  for (const where of [{}, outside]) {
    applyPlan(node, { resources: [], scopes: [...scopes, { kind: "table", family: "ip", name: "tortie_t" }] }, where);
  }
});

function planOf(...parts: readonly (readonly NodeResource[])[]): NodePlan {
  return { resources: parts.flat(), scopes };
}

const here = ownDevice(1, uplink, nodeAddress4);
const there = ownDevice(2, uplink, outsideAddress4);

test("pods of two nodes reach each other, in packets between the nodes", () => {
  const none = { applied: 0, removed: [], failures: [] };
  expect(applyPlan(node, planOf(here, peer(2, outsideAddress4)))).toMatchObject({ applied: 6, failures: [] });
  expect(applyPlan(node, planOf(there, peer(1, nodeAddress4)), outside)).toMatchObject({ applied: 6, failures: [] });
  expect(applyPlan(node, planOf(here, peer(2, outsideAddress4)))).toMatchObject(none);
  node.sh("ip address add 10.65.1.5/32 dev lo");
  node.sh("ip address add 10.65.2.5/32 dev lo", outside);
  const dump = node.sh(
    `tcpdump --immediate-mode -nnve -c 2 -i ${uplink} udp port 4789 2>&1 & sleep 1; ping -c 2 -i 0.2 -W 2 -I 10.65.1.5 10.65.2.5; wait`,
  );
  expect(dump).toContain("2 received");
  expect(dump).toMatch(/203\.0\.113\.1\.\d+ > 203\.0\.113\.2\.4789: VXLAN, flags \[I\] \(0x08\), vni 4096/);
  expect(dump).toContain(`${macOf(1)} > ${macOf(2)}, ethertype IPv4`);
  expect(dump).toMatch(/10\.65\.1\.5 > 10\.65\.2\.5: ICMP echo request/);
  node.sh("ip address del 10.65.1.5/32 dev lo");
  node.sh("ip address del 10.65.2.5/32 dev lo", outside);
});

test("an IPv6 route that leads to the gateway of the one in its place is replaced", () => {
  const link = "vxlan-v6.calico";
  const tunnel: readonly NodeResource[] = [
    {
      kind: "vxlan",
      at,
      name: link,
      vni: 4096,
      port: 4789,
      local: nodeAddress6,
      device: uplink,
      mac: macOf(1),
      mtu: 1300,
    },
    { kind: "address", at, link, address: "fd65::1:1/128", noDad: true },
  ];
  const destination = "fd65::2:0/122";
  const direct = {
    kind: "route",
    at,
    link: uplink,
    destination,
    gateway: outsideAddress6,
    onlink: true,
    protocol: 80,
  } as const;
  const tunnelled = { kind: "route", at, link, destination, gateway: "fd65::2:1", onlink: true, mtu: 1300 } as const;
  const all = { scopes: [...scopes, { kind: "link", link }, { kind: "device", name: link }] } as const;
  for (const route of [direct, tunnelled, direct]) {
    expect(applyPlan(node, { ...all, resources: [...tunnel, route] })).toMatchObject({ failures: [] });
    expect(node.sh(`ip -6 route show ${destination}`)).toContain(`via ${route.gateway} dev ${route.link}`);
  }
  expect(applyPlan(node, { ...all, resources: [] })).toMatchObject({ failures: [] });
});

test("VXLAN over IPv6, and IPv6 routes through it", () => {
  const link = "vxlan-v6.calico";
  const own = (number: number, local: string, other: number, destination: string): readonly NodeResource[] => [
    { kind: "vxlan", at, name: link, vni: 4096, port: 4789, local, device: uplink, mac: macOf(number), mtu: 1300 },
    { kind: "address", at, link, address: `fd65::${number}:1/128`, noDad: true },
    { kind: "blackhole", at, destination: `fd65::${number}:0/122`, protocol: 80 },
    { kind: "neighbour", at, link, address: `fd65::${other}:1`, mac: macOf(other) },
    { kind: "fdb", at, link, mac: macOf(other), destination },
    {
      kind: "route",
      at,
      link,
      destination: `fd65::${other}:0/122`,
      gateway: `fd65::${other}:1`,
      onlink: true,
      mtu: 1300,
    },
  ];
  const all = [...scopes, { kind: "link", link } as const, { kind: "device", name: link } as const];
  const mine = { resources: own(1, nodeAddress6, 2, outsideAddress6), scopes: all };
  expect(applyPlan(node, mine)).toMatchObject({ applied: 6, failures: [] });
  expect(applyPlan(node, mine)).toMatchObject({ applied: 0, removed: [], failures: [] });
  const theirs = { resources: own(2, outsideAddress6, 1, nodeAddress6), scopes: all };
  expect(applyPlan(node, theirs, outside)).toMatchObject({ failures: [] });
  expect(node.sh("ping -c 1 -w 10 fd65::2:1")).toContain("1 received");
  for (const where of [{}, outside]) {
    expect(applyPlan(node, { resources: [], scopes: all }, where).removed.at(-1)).toBe(`vxlan link ${link}`);
  }
});

test.each<[string, string, number]>([
  ["an MTU", `ip link set ${device} mtu 1300`, 1],
  ["a device that is down", `ip link set ${device} down`, 3],
  ["another identifier", remade("id 5000 local 203.0.113.1 dstport 4789 nolearning"), 5],
  ["another port", remade("id 4096 local 203.0.113.1 dstport 8472 nolearning"), 5],
  ["another local address", remade("id 4096 local 203.0.113.9 dstport 4789 nolearning"), 5],
  ["a device that learns", remade("id 4096 local 203.0.113.1 dstport 4789 learning"), 5],
  ["another MAC address", `ip link set ${device} address 66:00:00:00:00:99`, 5],
  ["a deleted device", `ip link del ${device}`, 5],
  ["a deleted route", "ip route del 10.65.2.0/26", 1],
  ["a route with another gateway", `ip route replace 10.65.2.0/26 via 10.65.3.1 dev ${device} onlink`, 1],
  ["a route with another MTU", `ip route replace 10.65.2.0/26 via 10.65.2.1 dev ${device} onlink mtu 1200`, 1],
  ["a block that is routed away", "ip route replace 10.65.1.0/26 via 203.0.113.2 proto 80", 1],
  ["a neighbour with another MAC address", `ip neighbour replace 10.65.2.1 lladdr 66:00:00:00:00:99 dev ${device}`, 1],
  ["a deleted neighbour", `ip neighbour del 10.65.2.1 dev ${device}`, 1],
  ["another destination", `bridge fdb replace ${macOf(2)} dev ${device} dst 203.0.113.7 self permanent`, 1],
  ["a deleted FDB entry", `bridge fdb del ${macOf(2)} dev ${device}`, 1],
  ["a deleted address", `ip address del 10.65.1.1/32 dev ${device}`, 1],
  ["a second address", `ip address add 10.65.1.9/32 dev ${device}`, 0],
  ["a second route", `ip route add 10.65.9.0/26 dev ${device}`, 0],
  ["another blackhole of ours", "ip route add blackhole 10.65.9.0/26 proto 80", 0],
  ["a route of ours in place of another", "ip -6 route add blackhole fd65::/64 proto 80", 0],
])("puts back %s", (_, command, least) => {
  const plan = planOf(here, peer(2, outsideAddress4));
  applyPlan(node, plan);
  const before = snapshot(node);
  node.sh(command);
  const answer = applyPlan(node, plan);
  expect(answer.failures).toEqual([]);
  expect(answer.applied).toBeGreaterThanOrEqual(least);
  expect(diff(before, snapshot(node))).toBe("");
  expect(applyPlan(node, plan)).toMatchObject({ applied: 0, removed: [] });
});

function remade(properties: string): string {
  return `ip link del ${device}; ip link add ${device} address ${macOf(1)} type vxlan dev ${uplink} ${properties}`;
}

test("a device that must not promise checksums does not, also after another program has changed it", () => {
  const own = here.map((one): NodeResource => (one.kind === "vxlan" ? { ...one, checksumOffload: false } : one));
  const checksums = () => node.sh(`ethtool -k ${device} | grep tx-checksum-ip-generic`).trim();
  applyPlan(node, planOf(here));
  expect(checksums()).toBe("tx-checksum-ip-generic: on");
  expect(applyPlan(node, planOf(own))).toMatchObject({ applied: 1, failures: [] });
  expect(checksums()).toBe("tx-checksum-ip-generic: off");
  expect(applyPlan(node, planOf(own))).toMatchObject({ applied: 0, failures: [] });
  node.sh(`ethtool -K ${device} tx-checksum-ip-generic on 2>/dev/null`);
  expect(applyPlan(node, planOf(own))).toMatchObject({ applied: 1, failures: [] });
  expect(checksums()).toBe("tx-checksum-ip-generic: off");
});

test("leaves alone what is foreign, and says what it could not do", () => {
  node.sh(`
    ip route add 10.65.2.0/26 via ${outsideAddress4}
    ip route add blackhole 10.65.1.0/26 proto bird
    ip route add 10.65.3.5/32 dev lo proto 81
    ip link add dummy65 type veth peer name dummy66`);
  const before = snapshot(node);
  const { failures, applied } = applyPlan(node, planOf(here, peer(2, outsideAddress4), peer(3, "203.0.113.3")));
  expect(failures.map(({ error }) => error)).toEqual([
    {
      kind: "conflict",
      name: "ConflictError",
      message:
        "cannot add route 10.65.2.0/26 via 10.65.2.1 dev vxlan.calico mtu 1400 onlink: route 10.65.2.0/26 via 203.0.113.2 dev uplink exists, which is foreign",
    },
  ]);
  // The device with its address, two neighbours, two FDB entries and one route. The foreign blackhole serves.
  expect(applied).toBe(7);
  applyPlan(node, planOf());
  expect(diff(before, snapshot(node))).toBe("");
  node.sh(
    "ip route del 10.65.2.0/26; ip route del blackhole 10.65.1.0/26; ip route del 10.65.3.5; ip link del dummy65",
  );
});

test("a device of another kind with the name is a conflict, and a missing uplink is named", () => {
  node.sh(`ip link add ${device} type veth peer name other`);
  expect(applyPlan(node, planOf(here)).failures[0]?.error.message).toBe(
    "cannot create vxlan link vxlan.calico: the link with this name is of kind veth",
  );
  node.sh(`ip link del ${device}`);
  const { failures, applied } = applyPlan(node, planOf(ownDevice(1, "none0", nodeAddress4), peer(2, outsideAddress4)));
  expect(failures.map(({ error }) => error.message)).toEqual([
    "cannot create vxlan link vxlan.calico: there is no link none0",
    ...Array(4).fill("cannot find link vxlan.calico: there is no link with this name"),
  ]);
  // The blackhole is there from the first plan.
  expect(applied).toBe(0);
});

test("an address that moves is reachable throughout, and its flows are forgotten", () => {
  const moved = (link: string, gateway?: string): NodeResource => {
    const route = { kind: "route", at, link, destination: "10.65.2.9/32", protocol: 80 } as const;
    return gateway === undefined ? route : { ...route, gateway, onlink: true };
  };
  const through = (route: NodeResource) => planOf(here, peer(2, outsideAddress4), [route]);
  applyPlan(node, through(moved(device, "10.65.2.1")));
  // A rule that needs connection tracking makes the kernel track.
  node.sh(
    "nft 'add table ip t; add chain ip t o { type filter hook output priority 0; }; add rule ip t o ct state new'",
  );
  node.sh("ping -c 1 -W 1 10.65.2.9 || true");
  node.sh("ping -c 1 -W 1 10.65.2.8 || true");
  const flows = () => node.sh("cat /proc/net/nf_conntrack 2>/dev/null || conntrack -L 2>/dev/null || true");
  if (flows() !== "") expect(flows()).toContain("dst=10.65.2.9");
  expect(applyPlan(node, through(moved(uplink, outsideAddress4)))).toMatchObject({ applied: 1, failures: [] });
  expect(flows()).not.toContain("dst=10.65.2.9");
  node.sh("nft delete table ip t");
});

test("a set of nf_tables follows its plan, and a table of a scope goes with it", () => {
  const table = (port: string): NodeResource => ({
    kind: "nft-table",
    family: "ip",
    name: "tortie_t",
    sets: [
      { name: "nodes", key: ["ipv4_addr"] },
      { name: "pools", key: ["ipv4_addr"], interval: true },
      { name: "digest", key: ["mark"], data: ["mark"] },
    ],
    chains: [
      {
        name: "input",
        hook: { type: "filter", hook: "input", priority: -5 },
        rules: [
          { statements: [{ match: "th dport", op: "==", value: port }, { verdict: "accept" }], comment: "a rule" },
        ],
      },
    ],
  });
  const elements = (set: string, ...keys: readonly string[]): NodeResource => {
    return {
      kind: "nft-elements",
      family: "ip",
      table: "tortie_t",
      set,
      elements: keys.map((key) => ({ key: [key] })),
    };
  };
  const digest = (value: string): NodeResource => {
    const list = [{ key: ["1"], data: [value] }];
    return { kind: "nft-elements", family: "ip", table: "tortie_t", set: "digest", elements: list };
  };
  const all = [
    ...["nodes", "pools"].map((set) => ({ kind: "elements", family: "ip", table: "tortie_t", set }) as const),
    { kind: "table", family: "ip", name: "tortie_t" } as const,
  ];
  const list = () => node.sh("nft list table ip tortie_t").replace(/\s+/g, " ");
  const first = [
    table("4789"),
    elements("nodes", "10.0.0.1", "10.0.0.2"),
    elements("pools", "10.1.0.0/24"),
    digest("7"),
  ];
  expect(applyPlan(node, { resources: first, scopes: all })).toMatchObject({ applied: 4, failures: [] });
  expect(applyPlan(node, { resources: first, scopes: all })).toMatchObject({ applied: 0, removed: [], failures: [] });
  const second = [
    table("4790"),
    elements("nodes", "10.0.0.2", "10.0.0.3"),
    elements("pools", "10.1.0.0/16"),
    digest("8"),
  ];
  expect(applyPlan(node, { resources: second, scopes: all })).toMatchObject({
    applied: 4,
    removed: ["element set ip tortie_t nodes 10.0.0.1", "element set ip tortie_t digest 1"],
    failures: [],
  });
  expect(list()).toContain("elements = { 10.0.0.2, 10.0.0.3 }");
  expect(list()).toContain("elements = { 10.1.0.0/16 }");
  expect(list()).toContain("elements = { 0x00000001 : 0x00000008 }");
  expect(list()).toMatch(/th dport 4790 accept comment "a rule" \}/);
  node.sh("nft flush chain ip tortie_t input; nft add element ip tortie_t nodes { 10.0.0.9 }");
  expect(applyPlan(node, { resources: second, scopes: all })).toMatchObject({ applied: 1, failures: [] });
  expect(list()).not.toContain("10.0.0.9");
  expect(applyPlan(node, { resources: [], scopes: all }).removed).toEqual(["table ip tortie_t"]);
  expect(applyPlan(node, { resources: [], scopes: all })).toMatchObject({ removed: [], failures: [] });
  const alone = applyPlan(node, { resources: [digest("1")], scopes: [] });
  expect(alone.failures[0]?.error.message).toBe(
    "cannot fill set ip tortie_t digest: the plan does not contain its table",
  );
});

test("the guard of the tunnels lets nodes through, and no pod", () => {
  const guard = (peers: readonly string[]): readonly NodeResource[] => {
    const site = {
      family: 4,
      uplink: { name: uplink, mtu: 1500, addresses: [] },
      address: nodeAddress4,
      ipip: undefined,
    } as const;
    const known = peers.map((address) => {
      return [address, { name: address, address, isInSubnet: true, vxlan: undefined, ipipAddress: undefined }] as const;
    });
    const vxlan = {
      device,
      mtu: 1400,
      address: "10.65.1.1",
      mac: macOf(1),
      vni: 4096,
      port: 4789,
      isChecksumOffloadBroken: false,
    };
    return planTunnelGuard({ ...site, vxlan, peers: new Map(known) });
  };
  const all = [...scopes, ...guardScopes([4])];
  const plan = (...peers: readonly string[]): NodePlan => {
    return { resources: [...here, ...peer(2, outsideAddress4), ...guard(peers)], scopes: all };
  };
  applyPlan(node, planOf(there, peer(1, nodeAddress4)), outside);
  const isReached = () => node.run(["ping", "-c", "1", "-W", "1", "10.65.1.1"], outside).status === 0;
  expect(applyPlan(node, plan(outsideAddress4))).toMatchObject({ failures: [] });
  expect(applyPlan(node, plan(outsideAddress4))).toMatchObject({ applied: 0, removed: [], failures: [] });
  expect(isReached()).toBe(true);
  expect(applyPlan(node, plan())).toMatchObject({ failures: [] });
  expect(isReached()).toBe(false);
  applyPlan(node, { resources: [], scopes: all });
  expect(node.sh("nft list tables")).toBe("");
});

test("a sysctl is written if it differs, and a refused one keeps nothing else from being applied", () => {
  node.sh("sysctl -qw net.ipv4.ip_forward=0");
  const sysctl = (path: string): NodeResource => ({ kind: "sysctl", at, path, value: "1" });
  const plan = planOf([sysctl("net/ipv4/ip_forward"), sysctl("net/ipv4/none")], here);
  const { applied, failures } = applyPlan(node, plan);
  expect(applied).toBe(4);
  expect(failures).toMatchObject([{ what: "sysctl net/ipv4/none", resource: { path: "net/ipv4/none" } }]);
  expect(node.sh("sysctl -n net.ipv4.ip_forward")).toBe("1\n");
});

test("refuses what is not a request, and prints what it is", () => {
  const run = (argument: string, stdin = "") => node.run([tortieNet, argument], { stdin });
  const refused = run("apply", '{"version":2,"id":4}');
  expect(refused.status).toBe(1);
  expect(JSON.parse(refused.stdout)).toEqual({
    version: 1,
    id: 4,
    error: { kind: "invalid", name: "BadRequest", message: "cannot read the request: it has version 2, wanted 1" },
    versions: [1],
  });
  expect(JSON.parse(run("apply", '{"version":1,"add":[],"remove":[]}').stdout)).toMatchObject({
    error: { message: "cannot read the request: it has no plan; only serve knows changes" },
  });
  expect(run("--version").stdout).toMatch(/^tortie-net \d+\.\d+\.\d+/);
  expect(run("--help").stdout).toContain("tortie-net serve");
  expect(run("frobnicate")).toMatchObject({ status: 2, stdout: "" });
});

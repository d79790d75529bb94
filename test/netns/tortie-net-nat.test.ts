/** natOutgoing as a cluster asks for it, and floating IPs: the agent's plans applied by `tortie-net`, with packets of pods, of the node and from outside. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { floatingScopes, planFloating } from "../../src/agent/network/floating.ts";
import type { NetworkEndpoint } from "../../src/cluster-network/network-endpoint.ts";
import type { OutgoingMessage } from "../../src/node-protocol/messages.ts";
import { natOutgoing } from "../../src/plan/nat-outgoing.ts";
import type { NodePlan, NodeResource, Scope } from "../../src/plan/node-plan.ts";
import { Node, nodeAddress4, nodeAddress6, outsideAddress4, outsideAddress6 } from "../lib/node/netns.ts";
import { addPlainPod, type PlainPod } from "../lib/node/plain-pod.ts";
import { applyPlan, NetServer } from "../lib/node/tortie-net.ts";
import { answers, ask, serve } from "../lib/node/traffic.ts";
import { requireBuild } from "../lib/suite.ts";

const pods: readonly PlainPod[] = ["one", "two"].map((name, index) => ({
  name,
  link: `cali${name}`,
  address4: `10.65.0.${index + 5}`,
  address6: `fd65::${index + 5}`,
}));
const [one, two] = pods as [PlainPod, PlainPod];
const external4 = "198.51.100.5";
const external6 = "2001:db8:5::5";
const port = 8080;

let node: Node;

beforeAll(requireBuild);
beforeAll(async () => {
  node = await Node.start("node");
  for (const pod of pods) addPlainPod(node, pod);
  for (const external of [external4, "198.51.100.6"]) node.sh(`ip route add ${external} via ${nodeAddress4}`, outside);
  node.sh(`ip -6 route add ${external6} via ${nodeAddress6}`, outside);
  for (const { name } of pods) serve(node, name, port);
  serve(node, "outside", port);
});
afterAll(() => node?.stop());

const outside = { in: "outside" };

const pools = [
  { cidr: "10.65.0.0/16", nat: true },
  { cidr: "fd65::/64", nat: true },
];

function natPlan(outgoing?: OutgoingMessage): NodePlan {
  const resources = natOutgoing(pools, { outgoing });
  const scopes = resources.flatMap((one): readonly Scope[] =>
    one.kind === "nft-elements" ? [{ kind: "elements", family: one.family, table: one.table, set: one.set }] : [],
  );
  return { resources, scopes };
}

function applied(plan: NodePlan) {
  const { failures, applied } = applyPlan(node, plan);
  expect(failures).toEqual([]);
  return applied;
}

const seen4 = (pod: PlainPod) => ask(node, pod.name, outsideAddress4, port);
const seen6 = (pod: PlainPod) => ask(node, pod.name, outsideAddress6, port);

describe("natOutgoing of a cluster", () => {
  test("by the node's address; a repeated plan changes nothing", () => {
    expect(applied(natPlan())).toBeGreaterThan(0);
    expect(applied(natPlan())).toBe(0);
    expect(seen4(one)).toContain(`sees ${nodeAddress4}`);
    expect(seen6(one)).toContain(`sees ${nodeAddress6}`);
  });

  test("by an address", () => {
    node.sh(
      "ip address add 203.0.113.77/32 dev uplink; ip address add 2001:db8:99::77/128 dev uplink nodad preferred_lft 0",
    );
    applied(natPlan({ address: "203.0.113.77" }));
    expect(seen4(one)).toContain("sees 203.0.113.77");
    expect(seen6(one)).toContain(`sees ${nodeAddress6}`);
    applied(natPlan({ address: "2001:db8:99::77" }));
    expect(seen4(one)).toContain(`sees ${nodeAddress4}`);
    expect(seen6(one)).toContain("sees 2001:db8:99::77");
    expect(applied(natPlan({ address: "2001:db8:99::77" }))).toBe(0);
  });

  test.each([{ address: undefined }, { address: "203.0.113.77" }])("by ports, address $address", ({ address }) => {
    applied(natPlan({ ...(address !== undefined && { address }), ports: "40000-40003" }));
    const sources = node.sh(
      `tcpdump --immediate-mode -nn -i uplink -c 4 'tcp[tcpflags] == tcp-syn and dst port ${port}' 2>/dev/null & sleep 1
       for i in 1 2 3 4; do ip netns exec one busybox wget -q -O /dev/null http://${outsideAddress4}:${port}/cgi-bin/who; done; wait`,
    );
    const ports = [...sources.matchAll(/IP ([\d.]+)\.(\d+) > /g)];
    expect(ports).toHaveLength(4);
    for (const [, source, sourcePort] of ports) {
      expect(source).toBe(address ?? nodeAddress4);
      expect(["40000", "40001", "40002", "40003"]).toContain(sourcePort);
    }
    expect(node.sh(`ping -n -c 1 -W 2 ${outsideAddress4}`, { in: "one" })).toContain("1 received");
  });

  test("not to nodes, where pods keep their addresses", () => {
    applied(natPlan({ exclusions: [outsideAddress4, outsideAddress6] }));
    node.sh(
      `ip route add ${one.address4} via ${nodeAddress4}; ip -6 route add ${one.address6} via ${nodeAddress6}`,
      outside,
    );
    expect(seen4(one)).toContain(`sees ${one.address4}`);
    expect(seen6(one)).toContain(`sees ${one.address6}`);
    // Another node than the one that is excluded.
    applied(natPlan({ exclusions: ["203.0.113.9"] }));
    expect(seen4(one)).toContain(`sees ${nodeAddress4}`);
    expect(seen6(one)).toContain(`sees ${nodeAddress6}`);
    node.sh(`ip route del ${one.address4}; ip -6 route del ${one.address6}`, outside);
  });

  test("only by an interface", () => {
    applied(natPlan({ interface: "up*" }));
    expect(seen4(one)).toContain(`sees ${nodeAddress4}`);
    applied(natPlan({ interface: "eth0" }));
    expect(answers(node, "one", outsideAddress4, port)).toBe(false);
  });

  test("no packet leaves untranslated while the rules change, and none is lost", async () => {
    applied(natPlan());
    const server = new NetServer(node);
    // Each ping is a flow of its own, and the outside has no route to the pod.
    const loop =
      "lost=0; for i in $(seq 100); do ping -n -c 1 -W 1 203.0.113.2 >/dev/null || lost=$((lost + 1)); sleep 0.02; done; echo lost $lost";
    const pings = node.runBeside(["sh", "-c", loop], { in: "one" });
    let isOver = false;
    void pings.finally(() => {
      isOver = true;
    });
    const plans = [
      natPlan({ ports: "40000-41000" }),
      natPlan({ address: "203.0.113.77" }),
      natPlan({ exclusions: ["203.0.113.9"] }),
      natPlan(),
    ];
    let changes = 0;
    while (!isOver) {
      expect(await server.ask({ plan: plans[changes++ % plans.length] as NodePlan })).toMatchObject({ failures: [] });
    }
    expect((await pings).stdout).toContain("lost 0");
    expect(changes).toBeGreaterThan(8);
    expect(await server.end()).toBe(0);
  });
});

function floats(...endpoints: readonly NetworkEndpoint[]): readonly NodeResource[] {
  return ([4, 6] as const).flatMap(
    (family) => planFloating({ endpoints, settings: { floatingIPs: "Enabled" } }, family).resources,
  );
}

function floatingOn({ name, link, address4, address6 }: PlainPod): NetworkEndpoint {
  const nats = [
    { external: external4, internal: address4 },
    { external: external6, internal: address6 },
  ];
  return { name: `default/${name}`, hostInterface: link, nats, sources: [] };
}

const floatingPlan = (...endpoints: readonly NetworkEndpoint[]): NodePlan => ({
  resources: floats(...endpoints),
  scopes: [
    { kind: "routes", protocol: 80, table: 254, family: 4 },
    { kind: "routes", protocol: 80, table: 254, family: 6 },
    ...floatingScopes([4, 6]),
  ],
});

/** Answers each datagram with its argument, over both families. */
const answerer = `
const socket = require("node:dgram").createSocket("udp6");
socket.on("message", (_, { port, address }) => socket.send(process.argv[1], port, address)).bind(5353);
`;
/** Asks from one port, so that the second question is of the same flow as the first. */
const asker = `
const [, to] = process.argv;
const socket = require("node:dgram").createSocket(to.includes(":") ? "udp6" : "udp4");
socket.on("message", (text) => { process.stdout.write(text); process.exit(); });
socket.bind(7777, () => socket.send("?", 5353, to));
setTimeout(() => process.exit(), 1000);
`;

/** What is left of the two families' tables and routes. */
const remains = () =>
  node.sh("nft list tables | grep floating || true; ip route show proto 80; ip -6 route show proto 80");

describe("floating IPs", () => {
  test("lead to the pod from outside, from the node, from another pod and from itself", () => {
    applied(natPlan());
    expect(applied(floatingPlan(floatingOn(one)))).toBeGreaterThan(0);
    expect(applied(floatingPlan(floatingOn(one)))).toBe(0);
    for (const [external, ofOutside, ofNode, ofPod] of [
      [external4, outsideAddress4, nodeAddress4, two.address4],
      [external6, outsideAddress6, nodeAddress6, two.address6],
    ] as const) {
      expect(ask(node, "outside", external, port)).toContain(`one sees ${ofOutside}`);
      expect(ask(node, undefined, external, port)).toContain(`one sees ${ofNode}`);
      expect(ask(node, "two", external, port)).toContain(`one sees ${ofPod}`);
      // The pod would drop packets from its own address.
      expect(ask(node, "one", external, port)).toContain(`one sees ${external}`);
    }
  });

  test("do not change what the pod sends", () => {
    expect(seen4(one)).toContain(`sees ${nodeAddress4}`);
    expect(ask(node, "one", two.address4, port)).toContain(`two sees ${one.address4}`);
  });

  test("are routed to the host interface, which BGP announces", () => {
    expect(node.sh(`ip route show ${external4}`)).toMatch(/dev calione proto 80 scope link/);
    expect(node.sh(`ip -6 route show ${external6}`)).toMatch(/dev calione proto 80/);
  });

  test("a node without a default route reaches them", () => {
    node.sh("ip route del default");
    expect(ask(node, undefined, external4, port)).toContain("one sees");
    node.sh(`ip route add default via ${outsideAddress4}`);
  });

  test("move with their flows: a client that keeps its source port reaches the new pod", async () => {
    const server = new NetServer(node);
    await server.ask({ plan: floatingPlan(floatingOn(one)) });
    for (const { name } of pods) node.start([process.execPath, "-e", answerer, name], { in: name });
    const say = (external: string) => node.run([process.execPath, "-e", asker, external], outside).stdout;
    await expect.poll(() => say(external4), { timeout: 10_000 }).toBe("one");
    await expect.poll(() => say(external6), { timeout: 10_000 }).toBe("one");
    const [before, after] = [floats(floatingOn(one)), floats(floatingOn(two))];
    expect(await server.ask({ add: after, remove: [] })).toMatchObject({ failures: [] });
    expect([say(external4), say(external6)]).toEqual(["two", "two"]);
    // The same host interface with another address, as when a pod's sandbox is made again: only the map changes.
    const swapped = { ...floatingOn(two), hostInterface: one.link };
    expect(await server.ask({ add: floats(swapped), remove: [] })).toMatchObject({ failures: [] });
    expect([say(external4), say(external6)]).toEqual(["two", "two"]);
    expect(await server.ask({ add: before, remove: [] })).toMatchObject({ failures: [] });
    expect([say(external4), say(external6)]).toEqual(["one", "one"]);
    expect(await server.end()).toBe(0);
  });

  test("a second one comes and goes without a change of the first; without any, nothing is left", async () => {
    const server = new NetServer(node);
    await server.ask({ plan: floatingPlan(floatingOn(one)) });
    const more = { ...floatingOn(two), nats: [{ external: "198.51.100.6", internal: two.address4 }] };
    const former = floats(floatingOn(one));
    const both = floats(floatingOn(one), more);
    const changed = both.filter(
      (resource) => !former.some((other) => JSON.stringify(other) === JSON.stringify(resource)),
    );
    expect(await server.ask({ add: changed, remove: [] })).toMatchObject({ failures: [], removed: [] });
    expect(ask(node, "outside", "198.51.100.6", port)).toContain("two sees");
    expect(ask(node, "outside", external4, port)).toContain("one sees");
    await server.ask({ plan: floatingPlan() });
    expect(remains()).toBe("");
    expect(answers(node, "outside", external4, port)).toBe(false);
    expect(await server.end()).toBe(0);
  });

  test("a route whose interface is missing fails alone; the rest is applied", () => {
    const gone = {
      ...floatingOn(two),
      hostInterface: "caligone",
      nats: [{ external: "198.51.100.6", internal: two.address4 }],
    };
    const { failures } = applyPlan(node, floatingPlan(floatingOn(one), gone));
    expect(failures.map(({ what }) => what)).toEqual([expect.stringContaining("198.51.100.6/32")]);
    expect(ask(node, "outside", external4, port)).toContain("one sees");
    applied(floatingPlan());
    expect(remains()).toBe("");
  });
});

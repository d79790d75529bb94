/** A pod's second network, on a node that drops packets from unexpected interfaces (rp_filter): replies leave by the interface of the request. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { tableOf } from "../../plugins/calico/routes.ts";
import { type Conflist, loadConflist, withVersion } from "../lib/conflist.ts";
import { Node, outsideAddress4, outsideAddress6 } from "../lib/node/netns.ts";
import { diff, snapshot } from "../lib/node/snapshot.ts";
import { ask, ping, type Spot, serve } from "../lib/node/traffic.ts";
import { type CniResult, Runner, type Sandbox } from "../lib/runtimes/runner.ts";
import { example, pluginDirs, requireBuild } from "../lib/suite.ts";

const list = loadConflist(example("10-calico-dual-stack.conflist"));
let node: Node;
let runner: Runner;
let first: Sandbox;
let second: Sandbox;

beforeEach(async () => {
  requireBuild();
  node = await Node.start();
  runner = new Runner({ node, pluginDirs });
  const netns = node.addPod("a");
  first = { containerId: "a", netns, ifname: "eth0" };
  second = { ...first, ifname: "net1" };
});

afterEach(async () => {
  await node?.stop();
});

function addressesOf({ ips = [] }: CniResult): readonly string[] {
  return ips.map(({ address }) => address.replace(/\/.*/, ""));
}

/** On a busy machine, resolving both MAC addresses may take longer than one echo request. */
function reaches(from: Spot, address: string): boolean {
  return [1, 2, 3].some(() => ping(node, from, address));
}

function filterReversePaths(value: number): void {
  node.sh(`for file in /proc/sys/net/ipv4/conf/*/rp_filter; do echo ${value} >$file; done`);
}

describe.each([0, 1, 2])("with rp_filter %i", (value) => {
  test("each interface of a pod answers the node, other pods and the outside, in both families", () => {
    filterReversePaths(value);
    const addresses = [first, second].flatMap((sandbox) => addressesOf(runner.add(list, sandbox)));
    runner.add(list, { containerId: "b", netns: node.addPod("b"), ifname: "eth0" });
    for (const address of addresses) {
      expect([address, reaches(undefined, address)]).toEqual([address, true]);
      expect([address, reaches("b", address)]).toEqual([address, true]);
    }
    // A router outside has routes to the pods.
    const [eth4, eth6, net4, net6] = addresses as [string, string, string, string];
    for (const address of [eth4, net4]) node.sh(`ip route add ${address} via 203.0.113.1`, { in: "outside" });
    for (const address of [eth6, net6]) node.sh(`ip -6 route add ${address} via 2001:db8:99::1`, { in: "outside" });
    for (const address of addresses) expect([address, reaches("outside", address)]).toEqual([address, true]);
    expect([ping(node, "a", outsideAddress4), ping(node, "a", outsideAddress6)]).toEqual([true, true]);
    for (const sandbox of [first, second]) runner.check(list, sandbox);
  });
});

test("portmap: a host port of the second interface answers, and the pod's own connections leave by eth0", () => {
  filterReversePaths(1);
  runner.add(list, first);
  const portMappings = [{ hostPort: 8080, containerPort: 80, protocol: "tcp" }];
  runner.add(list, { ...second, capabilities: { portMappings } });
  serve(node, "a", 80);
  expect(ask(node, "outside", "203.0.113.1", 8080)).toBe(`a sees ${outsideAddress4}`);
  expect(node.sh("ip -o route get 203.0.113.2; ip -o -6 route get 2001:db8:99::2", { in: "a" })).toMatch(
    / dev eth0 .*\n.* dev eth0 /,
  );
});

test("calico: the second interface works after DEL of eth0, and DEL of either restores the sandbox", () => {
  filterReversePaths(1);
  const empty = snapshot(node, { in: "a" });
  runner.add(list, first);
  const alone = snapshot(node, { in: "a" });
  runner.add(list, second);
  const both = snapshot(node, { in: "a" });
  runner.add(list, second);
  expect(diff(both, snapshot(node, { in: "a" }))).toBe("");
  runner.del(list, second);
  expect(diff(alone, snapshot(node, { in: "a" }))).toBe("");
  const [net4 = "", net6 = ""] = addressesOf(runner.add(list, second));
  runner.del(list, first);
  expect([ping(node, undefined, net4), ping(node, undefined, net6)]).toEqual([true, true]);
  expect(ping(node, "a", outsideAddress4)).toBe(true);
  runner.del(list, { ...second, netns: "" });
  expect(diff(empty, snapshot(node, { in: "a" }))).toBe("");
});

test("calico CHECK names a missing rule of a second interface", () => {
  runner.add(withVersion(list, "1.0.0"), second);
  node.sh("ip rule del pref 32000", { in: "a" });
  expect(() => runner.check(withVersion(list, "1.0.0"), second)).toThrow(
    new RegExp(`rule from [\\d.]+/32 lookup ${tableOf("net1")} pref 32000 is missing in the sandbox`),
  );
});

const ptp: Conflist = {
  ...withVersion(list, "1.0.0"),
  name: "ptp",
  plugins: [
    {
      type: "ptp",
      ipam: {
        type: "host-local",
        ranges: [[{ subnet: "10.78.0.0/24" }], [{ subnet: "fd78::/64" }]],
        routes: [{ dst: "0.0.0.0/0" }, { dst: "::/0" }],
      },
    },
  ],
};

describe.each([
  ["before", ["eth1", "eth0"]],
  ["after", ["eth0", "eth1"]],
])("with another network's default routes %s eth0's", (_, order) => {
  test("both are attached and answer, CHECK confirms, a repeated ADD changes nothing, DEL leaves the other", () => {
    filterReversePaths(1);
    const addresses = order.flatMap((ifname) =>
      addressesOf(runner.add(ifname === "eth0" ? list : ptp, { ...first, ifname })),
    );
    runner.check(list, first);
    const both = snapshot(node, { in: "a" });
    runner.add(list, first);
    expect(diff(both, snapshot(node, { in: "a" }))).toBe("");
    // ptp puts its default route before existing ones, and does not wait for duplicate address detection.
    const answering = order[0] === "eth0" ? [] : addresses.filter((address) => !address.startsWith("fd78:"));
    for (const address of answering) expect([address, reaches(undefined, address)]).toEqual([address, true]);
    runner.del(list, first);
    expect(node.sh("ip rule; ip -6 rule", { in: "a" })).not.toContain("32000:");
    expect(node.sh("ip route; ip -6 route", { in: "a" })).not.toContain("eth0");
    expect(node.sh("ip route show default; ip -6 route show default", { in: "a" })).toMatch(
      /^default via 10\.78\.0\.1 dev eth1 (?:metric \d+ )?\ndefault via fd78::1 dev eth1 /,
    );
    runner.add(list, first);
    runner.check(list, first);
  });
});

test("calico beside the reference's sbr on another network: each has its own rules", () => {
  const [plugin] = ptp.plugins;
  const v4 = { type: "host-local", ranges: [[{ subnet: "10.78.0.0/24" }]], routes: [{ dst: "0.0.0.0/0" }] };
  const bySource: Conflist = { ...ptp, plugins: [{ type: "ptp", ...plugin, ipam: v4 }, { type: "sbr" }] };
  filterReversePaths(1);
  const addresses = [
    ...addressesOf(runner.add(list, first)),
    ...addressesOf(runner.add(bySource, { ...first, ifname: "net7" })),
    ...addressesOf(runner.add(list, second)),
  ];
  for (const address of addresses) expect([address, reaches(undefined, address)]).toEqual([address, true]);
  for (const sandbox of [first, second]) runner.check(list, sandbox);
});

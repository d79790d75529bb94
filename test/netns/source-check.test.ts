/** Pods send from their own addresses alone, and from the networks that they may use: the agent's plan, applied by `tortie-net`, with forged packets. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { planSourceCheck, sourceScopes } from "../../src/agent/network/source-check.ts";
import { networkPoolOf } from "../../src/cluster-network/network-pool.ts";
import { Node, nodeAddress4, nodeAddress6, outsideAddress4, outsideAddress6 } from "../lib/node/netns.ts";
import { addPlainPod, type PlainPod } from "../lib/node/plain-pod.ts";
import { applyPlan } from "../lib/node/tortie-net.ts";
import { requireBuild } from "../lib/suite.ts";

const one: PlainPod = { name: "one", link: "calione", address4: "10.65.0.5", address6: "fd65::5" };
const two: PlainPod = { name: "two", link: "calitwo", address4: "10.65.0.6", address6: "fd65::6" };
const outside = { in: "outside" };

let node: Node;

beforeAll(requireBuild);
beforeAll(async () => {
  node = await Node.start("node");
  for (const pod of [one, two]) addPlainPod(node, pod);
  node.sh(`ip route add 10.0.0.0/8 via ${nodeAddress4}; ip -6 route add fd00::/8 via ${nodeAddress6}`, outside);
  // Of pod one: a network behind it, and the address of the other pod.
  for (const address of ["10.9.0.1/32", "10.65.0.6/32"]) node.sh(`ip address add ${address} dev lo`, { in: "one" });
  for (const address of ["fd09::1/128", "fd65::6/128"])
    node.sh(`ip address add ${address} dev lo nodad`, { in: "one" });
  node.sh("ip link set lo up", { in: "one" });
});
afterAll(() => node?.stop());

const pools = ["10.65.0.0/16", "fd65::/64"].flatMap(
  (cidr) =>
    networkPoolOf({ apiVersion: "projectcalico.org/v3", kind: "IPPool", metadata: { name: "p" }, spec: { cidr } }) ??
    [],
);

function apply(sources: readonly string[] | undefined): void {
  const endpoints = sources === undefined ? [] : [{ name: "default/one", hostInterface: one.link, nats: [], sources }];
  const settings = { workloadSourceSpoofing: "Any" } as const;
  const plan = {
    resources: ([4, 6] as const).flatMap((family) => planSourceCheck({ endpoints, pools, settings }, family)),
    scopes: sourceScopes([4, 6]),
  };
  expect(applyPlan(node, plan)).toMatchObject({ failures: [] });
  expect(applyPlan(node, plan)).toMatchObject({ applied: 0, failures: [] });
}

/** Whether the outside gets what pod one sends from the address; answers need not come back. */
function arrives(source: string): boolean {
  const isIpv6 = source.includes(":");
  const filter = `${isIpv6 ? "icmp6 and ip6[40] == 128" : "icmp[0] == 8"} and src host ${source}`;
  const target = isIpv6 ? outsideAddress6 : outsideAddress4;
  const seen = node.sh(
    `ip netns exec outside timeout 1 tcpdump --immediate-mode -nn -c 1 -i any '${filter}' 2>/dev/null & sleep 0.3
     ip netns exec one ping -n -c 2 -i 0.2 -W 0.3 -I ${source} ${target} >/dev/null || true; wait`,
  );
  return seen.includes(source);
}

test("without the check a pod sends from whatever address it likes", () => {
  // On a busy machine tcpdump may begin too late, or end before the packet.
  const arrivesOnce = (address: string) => [1, 2, 3].some(() => arrives(address));
  expect(["10.9.0.1", "10.65.0.6", "fd09::1", "fd65::6"].map(arrivesOnce)).toEqual(Array(4).fill(true));
});

test("with it, from its own addresses alone", () => {
  apply(undefined);
  expect([arrives("10.9.0.1"), arrives("10.65.0.6"), arrives("fd09::1"), arrives("fd65::6")]).toEqual(
    Array(4).fill(false),
  );
  expect([arrives(one.address4), arrives(one.address6)]).toEqual([true, true]);
});

test("pods, the node and the outside reach each other as before, a new neighbour too", () => {
  node.sh("ip -6 neigh flush all; ip neigh flush all");
  for (const [from, to] of [
    ["one", two.address4],
    ["one", two.address6],
    ["two", nodeAddress4],
    ["two", nodeAddress6],
    ["two", outsideAddress6],
  ] as const) {
    expect(node.sh(`ping -n -c 1 -W 3 ${to}`, { in: from })).toContain("1 received");
  }
  expect(node.sh(`ping -n -c 1 -W 3 ${one.address6}`, outside)).toContain("1 received");
  // A pod may also speak from its link-local address, as neighbour discovery does.
  expect(node.sh("ping -n -c 1 -W 3 fe80::ecee:eeff:feee:eeee%eth0", { in: "one" })).toContain("1 received");
});

test("and from the networks that it may use, even where the kernel checks routes itself", () => {
  node.sh(`echo 1 > /proc/sys/net/ipv4/conf/${one.link}/rp_filter`);
  apply(["10.9.0.0/16", "fd09::/48"]);
  expect([arrives("10.9.0.1"), arrives("10.65.0.6"), arrives("fd09::1"), arrives("fd65::6")]).toEqual([
    true,
    false,
    true,
    false,
  ]);
  apply(["0.0.0.0/0", "::/0"]);
  expect([arrives("10.65.0.6"), arrives("fd65::6")]).toEqual([true, true]);
  apply([]);
  expect([arrives("10.9.0.1"), arrives("fd09::1")]).toEqual([false, false]);
});

test("the tables go with their scopes", () => {
  expect(applyPlan(node, { resources: [], scopes: sourceScopes([4, 6]) }).removed).toEqual([
    "table ip tortie_source",
    "table ip6 tortie_source",
  ]);
  expect(node.sh("nft list tables")).toBe("");
});

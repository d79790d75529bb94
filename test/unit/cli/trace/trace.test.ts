import { describe, expect, test } from "vitest";
import type { Link, TraceFacts } from "../../../../src/cli/trace/facts.ts";
import { hopsOf } from "../../../../src/cli/trace/hops.ts";
import { aimAt, type Known, localPods, senderOf, targetAt } from "../../../../src/cli/trace/resolve.ts";
import { svgOf } from "../../../../src/cli/trace/svg.ts";
import { conclusion, firstWrong } from "../../../../src/cli/trace/text.ts";
import { networkNodeOf } from "../../../../src/cluster-network/network-node.ts";
import { networkPoolOf } from "../../../../src/cluster-network/network-pool.ts";
import type { Block } from "../../../../src/ipam/model/block.ts";

const stored = (kind: "IPPool" | "Node", name: string, spec: object) =>
  ({ apiVersion: "projectcalico.org/v3", kind, metadata: { name }, spec }) as Parameters<typeof networkNodeOf>[0];
const pool = networkPoolOf(stored("IPPool", "pool", { cidr: "10.0.0.0/16", ipipMode: "Always", natOutgoing: false }));
if (pool === undefined) throw new Error("the pool is not valid");
const nodes = ["a", "b"].map((name, index) =>
  networkNodeOf(
    stored("Node", name, { bgp: { ipv4Address: `172.16.0.${index + 1}/24`, ipv4IPIPTunnelAddr: `10.0.${index}.1` } }),
  ),
);
const [own, far] = nodes;
if (own === undefined || far === undefined) throw new Error("there are two nodes");

const block = {
  apiVersion: "crd.projectcalico.org/v1",
  kind: "IPAMBlock",
  metadata: { name: "10-0-1-0-30" },
  spec: {
    ...{ cidr: "10.0.1.0/30", affinity: "host:b", sequenceNumber: 1, strictAffinity: false, deleted: false },
    ...{ allocations: [null, null, 0, 1], unallocated: [0, 1] },
    attributes: [
      { handle_id: "x", secondary: { namespace: "shop", pod: "web", node: "b" } },
      { handle_id: "y", secondary: { namespace: "shop", pod: "db", node: "a" } },
    ],
  },
} as unknown as Block;
const known: Known = { pools: [pool], blocks: [block], nodes };

const pods = localPods([
  {
    attachment: { network: "net", containerId: "0123456789abcdef", ifname: "eth0" },
    ...{ node: "a", pod: { namespace: "shop", name: "cart" }, hostInterface: "cali1", mac: "02:00:00:00:00:01" },
    ...{ addresses: ["10.0.0.5/32", "fd00::5/128"], netns: "/run/netns/cart" },
  },
  {
    attachment: { network: "net", containerId: "fedcba9876543210", ifname: "eth0" },
    ...{ node: "a", pod: undefined, hostInterface: "cali2", mac: "02:00:00:00:00:02" },
    ...{ addresses: ["10.0.0.6/32"], netns: "/run/netns/other" },
  },
]);

describe("senderOf()", () => {
  test.each(["shop/cart", "cart", "10.0.0.5"])("finds a pod of this node by %s", (word) => {
    expect(senderOf(word, pods, known, "a")[0].address).toBe("10.0.0.5");
  });

  test("finds a pod without a name by the start of its container ID, as long as runtimes print it", () => {
    expect(senderOf("fedcba987654", pods, known, "a")[0].hostInterface).toBe("cali2");
    expect(() => senderOf("fedc", pods, known, "a")).toThrow('no pod of node "a" has this name or address');
  });

  test("says on which node a pod is, and which pods a name may mean", () => {
    expect(() => senderOf("shop/web", pods, known, "a")).toThrow('it is on node "b": run the command there');
    const twice = [...pods, ...pods.map((pod) => ({ ...pod, name: "other/cart" }))];
    expect(() => senderOf("cart", twice, known, "a")).toThrow("it names shop/cart and other/cart");
  });
});

describe("aimAt() and targetAt()", () => {
  const kindOf = (word: string) => {
    const { address, pod } = aimAt(word, [4], pods, known);
    return pod === undefined ? targetAt(address, known, ["172.16.0.1"], "a").kind : "local pod";
  };

  test.each([
    ...[["cart", "local pod"] as const, ["10.0.0.6", "local pod"] as const],
    ...[["shop/web", "far pod"] as const, ["10.0.1.2", "far pod"] as const],
    ...[["b", "far node"] as const, ["10.0.1.1", "far node"] as const, ["172.16.0.1", "this node"] as const],
    // An address of a far block that this node borrowed, but no pod of it has.
    ["10.0.1.3", "unallocated"] as const,
    ...[["10.0.1.0", "unallocated"] as const, ["10.0.77.1", "unallocated"] as const, ["192.0.2.1", "outside"] as const],
  ])("%s is a %s", (word, kind) => {
    expect(kindOf(word)).toBe(kind);
  });

  test("a target of a family that the pod has not, or that nobody knows, is refused", () => {
    expect(() => aimAt("fd00::9", [4], pods, known)).toThrow("the pod has no IPv6 address");
    expect(() => aimAt("nobody", [4], pods, known)).toThrow("neither a pod nor a node of that name is known");
  });
});

const link = (name: string, mtu = 1480): readonly [string, Link] => [
  name,
  { name, mtu, mac: "ee:ee:ee:ee:ee:ee", isUp: true, hasCarrier: true },
];
const toDefault = { kind: "route", dev: "eth0", gateway: "169.254.1.1", via: "default" } as const;
const [source] = pods;
if (source === undefined) throw new Error("there is a pod");
const healthy: TraceFacts = {
  ...{ node: "a", family: 4, source, own, pools: [pool], chains: [], unread: [], natTable: "" },
  target: { kind: "far pod", address: "10.0.1.2", pod: "shop/web", block: "10.0.1.0/30", owner: "b", on: far },
  sender: {
    ...{ link: link("eth0")[1], addresses: ["10.0.0.5"], route: toDefault, gatewayMac: "ee:ee:ee:ee:ee:ee" },
  },
  route: { kind: "route", dev: "tunl0", gateway: "172.16.0.2", via: "10.0.1.0/30" },
  reply: { kind: "route", dev: "cali1", gateway: undefined, via: "10.0.0.5" },
  links: new Map([link("cali1"), link("tunl0"), link("eth0", 1500)]),
  sysctls: new Map(["net/ipv4/ip_forward", "net/ipv4/conf/cali1/forwarding"].map((path) => [path, "1"])),
  tunnel: {
    ...{ kind: "ipip", device: "tunl0", vni: undefined, port: undefined, below: undefined },
    ...{ neighbourMac: undefined, forwardsTo: undefined },
    outer: { kind: "route", dev: "eth0", gateway: undefined, via: "172.16.0.0/24" },
  },
};

const wrongIn = (changes: Partial<TraceFacts>) => {
  const hop = firstWrong(hopsOf({ ...healthy, ...changes }));
  return hop && `${hop.what}: ${hop.text}`;
};

describe("hopsOf()", () => {
  test("of IPIP has no neighbour and no FDB entry, and nothing is wrong", () => {
    const whats = hopsOf(healthy).map(({ what }) => what.split(" ")[0]);
    expect(whats).toEqual([
      ...["eth0", "route", "ARP", "cali1", "forwarding", "firewall", "route"],
      ...["tunl0", "outer", "MTU", "block", "pod", "reply", "firewall,"],
    ]);
    expect(wrongIn({})).toBeUndefined();
    expect(conclusion(hopsOf(healthy))).toBe("Nothing that could be checked is wrong; 1 step could not be checked.");
  });

  test.each<readonly [string, Partial<TraceFacts>, string]>([
    [
      "no namespace",
      { sender: { link: undefined, addresses: [], route: { kind: "unasked" }, gatewayMac: undefined } },
      "eth0: its namespace",
    ],
    [
      "no IPIP route",
      { route: { ...toDefault, dev: "eth9" } },
      "route: default via 169.254.1.1 dev eth9: by the mode of its pool the packet should leave by tunl0",
    ],
    [
      "another gateway",
      { route: { kind: "route", dev: "tunl0", gateway: "172.16.0.9", via: "10.0.1.0/30" } },
      "route: 10.0.1.0/30 via 172.16.0.9 dev tunl0: the block 10.0.1.0/30 is b's, whose gateway is 172.16.0.2",
    ],
    [
      "the reverse path filter",
      { route: { kind: "refused", reason: "Invalid cross-device link" } },
      "route: Invalid cross-device link: the reverse path filter refuses 10.0.0.5 from cali1",
    ],
    ["no device", { links: new Map([link("cali1"), link("eth0", 1500)]) }, "tunl0: is missing"],
    [
      "a device that is down",
      { links: new Map([...healthy.links, ["tunl0", { ...link("tunl0")[1], isUp: false }]]) },
      "tunl0: is down",
    ],
    [
      "a pod's MTU above the tunnel's",
      { sender: { ...healthy.sender, link: link("eth0", 1500)[1] } },
      "MTU: the pod has 1500, and tunl0 1480",
    ],
    [
      "no way back",
      { reply: { kind: "refused", reason: "No route to host" } },
      "reply: No route to host: there is no way back to 10.0.0.5",
    ],
  ])("finds %s", (_, changes, text) => {
    expect(wrongIn(changes)).toContain(text);
  });

  const receiver = { ...healthy.sender, addresses: ["10.0.0.6"] };
  const neighbour = pods[2];
  if (neighbour === undefined) throw new Error("there are three addresses");
  const local: Partial<TraceFacts> = {
    target: { kind: "local pod", address: "10.0.0.6", pod: neighbour, receiver },
    route: { kind: "route", dev: "cali2", gateway: undefined, via: "10.0.0.6" },
    links: new Map([...healthy.links, link("cali2")]),
    tunnel: undefined,
  };

  test("judges the other pod of this node like the first", () => {
    expect(wrongIn(local)).toBeUndefined();
    const lost = { ...receiver, route: { kind: "refused", reason: "Network is unreachable" } } as const;
    const target = { kind: "local pod", address: "10.0.0.6", pod: neighbour, receiver: lost } as const;
    expect(wrongIn({ ...local, target })).toBe("route: the pod has no route to 10.0.0.5: Network is unreachable");
    const asks = { ...receiver, gatewayMac: "02:00:00:00:00:09" };
    expect(wrongIn({ ...local, target: { ...target, receiver: asks } })).toContain("ARP for 169.254.1.1: is 02:00");
  });

  const dropping = (hook: "prerouting" | "input" | "postrouting", name = hook) =>
    ({
      backend: "nft",
      family: "inet",
      table: "fw",
      name,
      hook,
      policy: "drop",
      chains: new Map([[name, []]]),
    }) as const;

  test("walks all hooks that the packet meets, and no others", () => {
    for (const hook of ["prerouting", "postrouting"] as const)
      expect(wrongIn({ chains: [dropping(hook)] })).toContain(
        `firewall: nft inet fw ${hook}, by its policy "drop", drops it`,
      );
    expect(wrongIn({ chains: [dropping("input")] })).toBeUndefined();
    const toNode: Partial<TraceFacts> = {
      target: { kind: "this node", address: "172.16.0.1" },
      route: { kind: "route", dev: "lo", gateway: undefined, via: "172.16.0.1" },
      tunnel: undefined,
    };
    expect(wrongIn(toNode)).toBeUndefined();
    expect(wrongIn({ ...toNode, chains: [dropping("input")] })).toContain("firewall: nft inet fw input");
    expect(wrongIn({ ...toNode, chains: [dropping("postrouting")] })).toBeUndefined();
  });

  test("a default route is no way to a block of another node", () => {
    const direct = { ...pool, encapsulation: "none" } as const;
    const route = { kind: "route", dev: "eth0", gateway: "172.16.0.254", via: "default" } as const;
    expect(wrongIn({ pools: [direct], route, tunnel: undefined })).toBe(
      "route: default via 172.16.0.254 dev eth0: there is no route to the block 10.0.1.0/30 of b",
    );
    const block = { ...route, gateway: "172.16.0.2", via: "10.0.1.0/30" };
    expect(wrongIn({ pools: [direct], route: block, tunnel: undefined })).toBeUndefined();
  });

  test("tells whose block it is, and who has an address that no known pod has", () => {
    const textOf = (owner: string | undefined) =>
      hopsOf({ ...healthy, target: { ...healthy.target, owner } as TraceFacts["target"] }).find(({ what }) =>
        what.startsWith("block"),
      )?.text;
    expect(textOf("b")).toBe("by the datastore is this node's");
    expect(textOf("c")).toBe("by the datastore is node c's: this node borrowed the address");
    const held = (node: string) =>
      wrongIn({
        target: {
          kind: "unallocated",
          address: "10.0.1.3",
          block: "10.0.1.0/30",
          on: "b",
          holder: { pod: "shop/db", node },
        },
      });
    expect(held("a")).toContain("10.0.1.3 is allocated to shop/db on this node, where no pod has it (its block");
    expect(held("z")).toContain("10.0.1.3 is allocated to shop/db on node z, which the datastore does not know");
  });

  test("natOutgoing needs the pool in its table", () => {
    const nat = {
      pools: [{ ...pool, natOutgoing: true }],
      target: { kind: "outside", address: "192.0.2.1" },
      tunnel: undefined,
    } as const;
    expect(wrongIn({ ...nat, natTable: '{"prefix":{"addr":"10.0.0.0","len":16}}' })).toBeUndefined();
    expect(wrongIn({ ...nat, natTable: "{}" })).toContain("natOutgoing: the table tortie lacks the pool 10.0.0.0/16");
    expect(wrongIn({ ...nat, natTable: "" })).toContain("natOutgoing: the table tortie is missing");
  });

  test("a namespace that could not be read is not called wrong", () => {
    const unread = {
      link: undefined,
      addresses: [],
      route: { kind: "unasked" },
      gatewayMac: undefined,
      unread: "nsenter is missing",
    } as const;
    expect(wrongIn({ sender: unread })).toBeUndefined();
    expect(hopsOf({ ...healthy, sender: unread })[0]).toMatchObject({
      verdict: "unchecked",
      text: "could not be read: nsenter is missing",
    });
  });

  test("reports as well nothing that was not read", () => {
    const unread = hopsOf({
      ...{
        ...healthy,
        sysctls: new Map(),
        unread: ["rules of nf_tables: nft is not installed"],
        natTable: undefined,
      },
      ...{ route: { kind: "unasked" }, reply: { kind: "unasked" }, tunnel: undefined },
      target: { kind: "outside", address: "192.0.2.1" },
      sender: { ...healthy.sender, route: { kind: "unasked" } },
    });
    const good = unread.filter(({ verdict }) => verdict === "good").map(({ what }) => what);
    expect(good).toEqual(["eth0", "cali1"]);
  });

  test("a picture has each step, and escapes what it says", () => {
    const picture = svgOf({ ...healthy, source: { ...source, name: "<pod>" } }, hopsOf(healthy));
    expect(picture.match(/<circle/g)).toHaveLength(hopsOf(healthy).length);
    expect(picture).toContain("&lt;pod&gt;");
  });
});

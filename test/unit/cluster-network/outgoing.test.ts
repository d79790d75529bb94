import { describe, expect, test } from "vitest";
import { networkNodeOf } from "../../../src/cluster-network/network-node.ts";
import { type NetworkSettings, resolveSettings } from "../../../src/cluster-network/network-settings.ts";
import { outgoingOf } from "../../../src/cluster-network/outgoing.ts";
import type { OutgoingMessage } from "../../../src/node-protocol/messages.ts";
import { natOutgoing } from "../../../src/plan/nat-outgoing.ts";
import type { NftElements } from "../../../src/plan/nft.ts";
import { nftCommands } from "../../../src/plan/show-nft.ts";
import { object } from "../agent/network/cluster.ts";

const nodes = new Map(
  ["10.1.0.2/24", "10.1.0.1/24"].map((ipv4Address, index) => {
    const name = `n${index}`;
    return [name, networkNodeOf(object("Node", name, { bgp: { ipv4Address, ipv6Address: `fd00::${index}/64` } }))];
  }),
);
const pools = [
  { cidr: "10.0.0.0/16", nat: true },
  { cidr: "10.9.0.0/16", nat: false },
  { cidr: "fd00:10::/64", nat: true },
];

function configured(spec: object, own: NetworkSettings = {}, ofNode: object = {}): NetworkSettings {
  const configurations = [
    object("FelixConfiguration", "default", spec),
    object("FelixConfiguration", "node.n0", ofNode),
    object("FelixConfiguration", "node.n1", { natPortRange: "1:2" }),
  ];
  return resolveSettings(own, configurations, "n0");
}

/** The rules as nft shows them. */
function rules(outgoing: OutgoingMessage | undefined): readonly string[] {
  const commands = nftCommands(natOutgoing(pools, { outgoing }), "");
  return commands.filter((one) => one.includes(" postrouting ") && one.startsWith("add rule"));
}

describe("outgoingOf()", () => {
  test("asks for nothing by default, nor with the words for the defaults", () => {
    expect(outgoingOf({ settings: configured({}), nodes })).toBeUndefined();
    expect(outgoingOf({ settings: configured({ natOutgoingExclusions: "IPPoolsOnly" }), nodes })).toBeUndefined();
  });

  test("excludes the addresses of all nodes, this one too", () => {
    const settings = configured({ natOutgoingExclusions: "IPPoolsAndHostIPs" });
    expect(outgoingOf({ settings, nodes })).toEqual({ exclusions: ["10.1.0.1", "10.1.0.2", "fd00::", "fd00::1"] });
  });

  test("the agent's own setting comes before the node's, which comes before the cluster's", () => {
    const ofCluster = { natPortRange: "1000:2000", natOutgoingAddress: "192.0.2.1" };
    const own = { natPortRange: "3000-4000" };
    expect(outgoingOf({ settings: configured(ofCluster), nodes })).toEqual({
      ports: "1000-2000",
      address: "192.0.2.1",
    });
    expect(outgoingOf({ settings: configured(ofCluster, {}, { natPortRange: 7 }), nodes })).toMatchObject({
      ports: "7-7",
    });
    expect(outgoingOf({ settings: configured(ofCluster, own, { natPortRange: 7 }), nodes })).toMatchObject({
      ports: "3000-4000",
    });
  });

  test.each([
    ["natPortRange", "2000:1000"],
    ["natPortRange", "0:1000"],
    ["natPortRange", "1:65536"],
    ["natPortRange", ""],
    ["natPortRange", "0:0"],
    ["natOutgoingAddress", "192.0.2"],
    ["natOutgoingAddress", ""],
    ["iptablesNATOutgoingInterfaceFilter", ""],
    ["iptablesNATOutgoingInterfaceFilter", "+"],
    ["iptablesNATOutgoingInterfaceFilter", 'e" accept'],
    ["natOutgoingExclusions", "Everything"],
  ])("%s %j counts as not set", (key, value) => {
    expect(outgoingOf({ settings: configured({ [key]: value }), nodes })).toBeUndefined();
  });

  test("an interface of iptables becomes one of nft", () => {
    const settings = configured({ iptablesNATOutgoingInterfaceFilter: "eth+" });
    expect(outgoingOf({ settings, nodes })).toEqual({ interface: "eth*" });
  });
});

describe("natOutgoing() of a cluster", () => {
  const conditions = (family: string) => `${family} saddr @nat_pools ${family} daddr != @all_pools`;

  test("without wishes is that of a node on its own", () => {
    expect(rules(undefined)).toEqual([
      `add rule ip tortie postrouting ${conditions("ip")} masquerade comment "pods leave by the address of the node"`,
      `add rule ip6 tortie postrouting ${conditions("ip6")} masquerade comment "pods leave by the address of the node"`,
    ]);
    expect(natOutgoing(pools)).toEqual(natOutgoing(pools, { outgoing: undefined }));
  });

  test("adds a condition for each restriction", () => {
    const outgoing = { exclusions: ["10.1.0.1"], interface: "eth*" };
    expect(rules(outgoing)[0]).toBe(
      `add rule ip tortie postrouting ${conditions("ip")} ip daddr != @excluded oifname "eth*" masquerade comment "pods leave by the address of the node"`,
    );
  });

  test("ports apply to TCP and UDP alone", () => {
    const comment = "pods leave by the address of the node";
    expect(rules({ ports: "1024-2047" }).slice(0, 3)).toEqual([
      `add rule ip tortie postrouting meta l4proto tcp ${conditions("ip")} masquerade to :1024-2047 comment "${comment}, tcp by ports 1024-2047"`,
      `add rule ip tortie postrouting meta l4proto udp ${conditions("ip")} masquerade to :1024-2047 comment "${comment}, udp by ports 1024-2047"`,
      `add rule ip tortie postrouting ${conditions("ip")} masquerade comment "${comment}"`,
    ]);
  });

  test("an address is that of its family; the other family is masqueraded", () => {
    expect(rules({ address: "192.0.2.1" })).toEqual([
      `add rule ip tortie postrouting ${conditions("ip")} snat ip to 192.0.2.1 comment "pods leave by 192.0.2.1"`,
      `add rule ip6 tortie postrouting ${conditions("ip6")} masquerade comment "pods leave by the address of the node"`,
    ]);
    expect(rules({ address: "2001:db8::1", ports: "5-6" }).at(-3)).toContain("snat ip6 to [2001:db8::1]:5-6");
  });

  test("the digest covers the exclusions, so that an ADD writes them only when they have changed", () => {
    const digestOf = (exclusions: readonly string[]) =>
      natOutgoing(pools, { outgoing: { exclusions } })
        .filter((one): one is NftElements => one.kind === "nft-elements" && one.family === "ip" && one.digest === true)
        .map(({ elements }) => elements[0]?.data?.[0]);
    expect(digestOf(["10.1.0.1"])).not.toEqual(digestOf(["10.1.0.2"]));
    // Of the other family.
    expect(digestOf(["10.1.0.1", "fd00::1"])).toEqual(digestOf(["10.1.0.1"]));
    const written = natOutgoing(pools, { outgoing: { exclusions: ["10.1.0.1"] } });
    expect(written.filter((one) => "onlyIfOutdated" in one)).toHaveLength(2);
  });
});

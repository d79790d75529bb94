import { describe, expect, test } from "vitest";
import { planFloating } from "../../../../src/agent/network/floating.ts";
import type { Snapshot } from "../../../../src/agent/network/snapshot.ts";
import type { NetworkEndpoint } from "../../../../src/cluster-network/network-endpoint.ts";
import type { NftResource } from "../../../../src/plan/nft.ts";
import { nftCommands } from "../../../../src/plan/show-nft.ts";
import { block, object, planned, snapshotOf, web } from "./cluster.ts";

function plan(endpoints: readonly NetworkEndpoint[], family: 4 | 6) {
  return planFloating({ endpoints, settings: { floatingIPs: "Enabled" } }, family);
}

describe("planFloating()", () => {
  test("translates in one look-up, and routes to the host interface", () => {
    const { resources, troubles } = plan([web], 4);
    expect(troubles).toEqual([]);
    const nft = resources.filter((one): one is NftResource => one.kind.startsWith("nft-"));
    expect(nftCommands(nft, "").filter((one) => /^add (chain|rule|element)/.test(one))).toEqual([
      "add chain ip tortie_floating prerouting { type nat hook prerouting priority -110; policy accept; }",
      "add chain ip tortie_floating output { type nat hook output priority -110; policy accept; }",
      "add chain ip tortie_floating postrouting { type nat hook postrouting priority 90; policy accept; }",
      'add rule ip tortie_floating prerouting dnat ip to ip daddr map @floating comment "floating IPs lead to pods"',
      'add rule ip tortie_floating output dnat ip to ip daddr map @floating comment "floating IPs lead to pods"',
      'add rule ip tortie_floating postrouting snat ip to ip saddr . ip daddr map @hairpin comment "a pod reaches itself"',
      "add element ip tortie_floating floating { 198.51.100.5 : 10.0.0.5 }",
      "add element ip tortie_floating hairpin { 10.0.0.5 . 10.0.0.5 : 198.51.100.5 }",
    ]);
    expect(resources.filter(({ kind }) => kind === "route")).toEqual([
      { kind: "route", at: "host", scope: "link", protocol: 80, link: "cali1", destination: "198.51.100.5/32" },
    ]);
  });

  test("the other family has maps of its own", () => {
    const kept = plan([web], 6).resources.flatMap((one) => (one.kind === "nft-elements" ? one.elements : []));
    expect(kept).toEqual([
      { key: ["2001:db8::5"], data: ["fd00::5"] },
      { key: ["fd00::5", "fd00::5"], data: ["2001:db8::5"] },
    ]);
  });

  test("a pod with two floating IPs reaches itself by the first", () => {
    const nats = ["198.51.100.9", "198.51.100.5"].map((external) => ({ external, internal: "10.0.0.5" }));
    const { resources } = plan([{ ...web, nats }], 4);
    expect(resources.flatMap((one) => (one.kind === "nft-elements" ? one.elements : []))).toEqual([
      { key: ["198.51.100.5"], data: ["10.0.0.5"] },
      { key: ["198.51.100.9"], data: ["10.0.0.5"] },
      { key: ["10.0.0.5", "10.0.0.5"], data: ["198.51.100.5"] },
    ]);
  });

  test("of two pods with one floating IP the lower address has it, and the other is named", () => {
    const other = {
      name: "default/a",
      hostInterface: "cali2",
      sources: [],
      nats: [{ external: "198.51.100.5", internal: "10.0.0.7" }],
    };
    const { resources, troubles } = plan([other, web], 4);
    expect(resources.flatMap((one) => (one.kind === "route" ? one.link : []))).toEqual(["cali1"]);
    expect(troubles.map(({ message }) => message)).toEqual([
      "cannot lead floating IP 198.51.100.5 to default/a: default/web on this node has it too; remove it from the annotation of one of them",
    ]);
  });

  test("is part of the node's plan; without floating IPs the tables go", () => {
    const cluster = {
      pools: [object("IPPool", "p", { cidr: "10.0.0.0/16" })],
      blocks: [block("10.0.0.0/26", "a")],
      nodes: [object("Node", "a", { bgp: { ipv4Address: "10.1.0.1/24" } })],
    };
    const uplink = { name: "eth0", mtu: 1500, addresses: ["10.1.0.1/24"] };
    const tables = (more: Partial<Snapshot>) =>
      planned(snapshotOf(cluster, "a", [uplink], { endpoints: [web], ...more })).plan?.resources.flatMap((one) =>
        one.kind === "nft-table" && one.name === "tortie_floating" ? [one.family] : [],
      );
    expect(tables({ settings: { floatingIPs: "Enabled" } })).toEqual(["ip", "ip6"]);
    expect(tables({ settings: { floatingIPs: "Disabled" } })).toEqual([]);
    expect(tables({})).toEqual([]);
    const without = planned(snapshotOf(cluster, "a", [uplink])).plan;
    expect(without?.scopes).toContainEqual({ kind: "table", family: "ip6", name: "tortie_floating" });
  });
});

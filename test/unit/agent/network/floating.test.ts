import { describe, expect, test } from "vitest";
import { planFloating } from "../../../../src/agent/network/floating.ts";
import { type FloatingEndpoint, floatingEndpointOf } from "../../../../src/agent/network/floating-endpoint.ts";
import type { NftResource } from "../../../../src/plan/nft.ts";
import { nftCommands } from "../../../../src/plan/show-nft.ts";
import type { StoredObject } from "../../../../src/store/object.ts";
import { block, object, planned, snapshotOf } from "./cluster.ts";

const web: FloatingEndpoint = {
  name: "default/web",
  hostInterface: "cali1",
  nats: [
    { external: "198.51.100.5", internal: "10.0.0.5" },
    { external: "2001:db8::5", internal: "fd00::5" },
  ],
};

describe("planFloating()", () => {
  test("translates in one look-up, and routes to the host interface", () => {
    const { resources, troubles } = planFloating([web], 4);
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
    const kept = planFloating([web], 6).resources.flatMap((one) => (one.kind === "nft-elements" ? one.elements : []));
    expect(kept).toEqual([
      { key: ["2001:db8::5"], data: ["fd00::5"] },
      { key: ["fd00::5", "fd00::5"], data: ["2001:db8::5"] },
    ]);
  });

  test("a pod with two floating IPs reaches itself by the first", () => {
    const nats = ["198.51.100.9", "198.51.100.5"].map((external) => ({ external, internal: "10.0.0.5" }));
    const { resources } = planFloating([{ ...web, nats }], 4);
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
      nats: [{ external: "198.51.100.5", internal: "10.0.0.7" }],
    };
    const { resources, troubles } = planFloating([other, web], 4);
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
    const { plan } = planned(snapshotOf(cluster, "a", [uplink], { floating: [web] }));
    const tables = plan?.resources.flatMap((one) => (one.kind === "nft-table" ? [`${one.family} ${one.name}`] : []));
    expect(tables).toEqual(["ip tortie_floating", "ip6 tortie_floating"]);
    const without = planned(snapshotOf(cluster, "a", [uplink])).plan;
    expect(without?.resources.filter(({ kind }) => kind.startsWith("nft"))).toEqual([]);
    expect(without?.scopes).toEqual(plan?.scopes);
    expect(without?.scopes).toContainEqual({ kind: "table", family: "ip6", name: "tortie_floating" });
  });
});

describe("floatingEndpointOf()", () => {
  const annotation = "cni.projectcalico.org/floatingIPs";
  const spec = { node: "a", pod: "web", interfaceName: "cali1", ipNetworks: ["10.0.0.5/32", "fd00::5/128"] };
  const endpoint = (more: object, annotations = {}): StoredObject => ({
    apiVersion: "projectcalico.org/v3",
    kind: "WorkloadEndpoint",
    metadata: { name: "a-k8s-web-eth0", namespace: "default", annotations },
    spec: { ...spec, ...more },
  });

  test("takes what is recorded", () => {
    const ipNATs = [
      { internalIP: "10.0.0.5", externalIP: "198.51.100.5" },
      { internalIP: "fd00::5", externalIP: "2001:DB8:0::5" },
      { internalIP: "10.0.0.5", externalIP: "2001:db8::6" },
      { internalIP: "10.0.0.5" },
      null,
    ];
    expect(floatingEndpointOf(endpoint({ ipNATs }), "a")).toEqual(web);
    expect(floatingEndpointOf(endpoint({ ipNATs }), "b")).toBeUndefined();
  });

  test("takes the annotation of a pod: each leads to the address of its family", () => {
    const annotations = { [annotation]: '["198.51.100.5", "2001:db8::5", "no address", 7]' };
    expect(floatingEndpointOf(endpoint({}, annotations), "a")).toEqual(web);
    const onlyIpv4 = floatingEndpointOf(endpoint({ ipNetworks: ["10.0.0.5/32"] }, annotations), "a");
    expect(onlyIpv4?.nats).toEqual([{ external: "198.51.100.5", internal: "10.0.0.5" }]);
    expect(floatingEndpointOf(endpoint({ ipNetworks: undefined }, annotations), "a")).toBeUndefined();
  });

  test.each(["", "198.51.100.5", "{}", "null", '[{"ip": "198.51.100.5"}]'])("ignores the annotation %j", (text) => {
    expect(floatingEndpointOf(endpoint({}, { [annotation]: text }), "a")).toBeUndefined();
  });
});

import { expect, test } from "vitest";
import { agentTables } from "../../../../src/identity/names.ts";
import type { NftResource } from "../../../../src/plan/nft.ts";
import { nftCommands } from "../../../../src/plan/show-nft.ts";
import { block, object, planned, snapshotOf } from "./cluster.ts";

const uplink = { name: "eth0", mtu: 1500, addresses: ["10.1.0.1/24"] };
const node = (name: string, address: string, tunnel: object) =>
  object("Node", name, { bgp: { ipv4Address: address, ...tunnel } });

function guardOf(pool: object, tunnel: object, more: object = {}) {
  const nodes = [
    object("Node", "a", { bgp: { ipv4Address: "10.1.0.1/24", ...tunnel }, ...more }),
    node("b", "10.1.0.2/24", {}),
    node("c", "10.2.0.3/24", {}),
  ];
  const pools = [object("IPPool", "p", { cidr: "192.168.0.0/16", ...pool })];
  const { plan } = planned(
    snapshotOf({ pools, blocks: [block("192.168.0.0/26", "a")], nodes }, "a", [uplink], { hasIpv6: false }),
  );
  const guard = (plan?.resources ?? []).filter(
    (one): one is NftResource =>
      (one.kind === "nft-table" && one.name === agentTables.tunnel) ||
      (one.kind === "nft-elements" && one.table === agentTables.tunnel),
  );
  return { commands: nftCommands(guard, "tortie:none"), scopes: plan?.scopes };
}

test("VXLAN is accepted from nodes alone, and from no pod", () => {
  const { commands, scopes } = guardOf({ vxlanMode: "Always" }, {}, { ipv4VXLANTunnelAddr: "192.168.0.1" });
  expect(commands).toEqual([
    "add table ip tortie_tunnel",
    'add set ip tortie_tunnel nodes { type ipv4_addr; comment "who may send into tunnels"; }',
    "add chain ip tortie_tunnel input { type filter hook input priority -10; policy accept; }",
    "add chain ip tortie_tunnel forward { type filter hook forward priority -10; policy accept; }",
    'add rule ip tortie_tunnel input meta l4proto udp th dport 4789 ip saddr != @nodes drop comment "VXLAN comes from nodes alone"',
    'add rule ip tortie_tunnel forward meta l4proto udp th dport 4789 iifname "cali*" drop comment "VXLAN does not come from pods"',
    "add element ip tortie_tunnel nodes { 10.1.0.2, 10.2.0.3 }",
  ]);
  expect(scopes).toContainEqual({ kind: "elements", family: "ip", table: "tortie_tunnel", set: "nodes" });
});

test("IPIP likewise, and without a tunnel there is no table, which its scope removes", () => {
  const { commands } = guardOf({ ipipMode: "Always" }, { ipv4IPIPTunnelAddr: "192.168.0.1" });
  expect(commands.filter((one) => one.startsWith("add rule"))).toEqual([
    'add rule ip tortie_tunnel input meta l4proto 4 ip saddr != @nodes drop comment "IPIP comes from nodes alone"',
    'add rule ip tortie_tunnel forward meta l4proto 4 iifname "cali*" drop comment "IPIP does not come from pods"',
  ]);
  const none = guardOf({}, {});
  expect(none.commands).toEqual([]);
  expect(none.scopes).toContainEqual({ kind: "table", family: "ip", name: "tortie_tunnel" });
});

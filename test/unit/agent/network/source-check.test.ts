import { expect, test } from "vitest";
import { planSourceCheck, sourceScopes } from "../../../../src/agent/network/source-check.ts";
import { networkPoolOf } from "../../../../src/cluster-network/network-pool.ts";
import type { NftResource } from "../../../../src/plan/nft.ts";
import { nftCommands } from "../../../../src/plan/show-nft.ts";
import { object } from "./cluster.ts";

const pools = ["10.0.0.0/16", "fd00::/64"].flatMap((cidr) => networkPoolOf(object("IPPool", cidr, { cidr })) ?? []);
const router = {
  ...{ name: "default/router", hostInterface: "cali1", nats: [] },
  sources: ["0.0.0.0/0", "10.9.0.0/17", "fd09::/48"],
};

function rules(workloadSourceSpoofing: "Any" | "Disabled" | undefined, family: 4 | 6): readonly string[] {
  const plan = planSourceCheck({ endpoints: [router], pools, settings: { workloadSourceSpoofing } }, family);
  const tables = plan.filter((one): one is NftResource => one.kind === "nft-table");
  const sysctls = plan.flatMap((one) => (one.kind === "sysctl" ? [`${one.path} ${one.value}`] : []));
  return [...nftCommands(tables, "").filter((one) => !one.startsWith("add table")), ...sysctls];
}

const hook = (family: string) => [
  `add chain ${family} tortie_source allowed`,
  `add chain ${family} tortie_source prerouting { type filter hook prerouting priority -300; policy accept; }`,
];
const check = (family: string) => [
  `add rule ${family} tortie_source prerouting iifname "cali*" jump allowed comment "networks that pods may use beside their addresses"`,
  `add rule ${family} tortie_source prerouting iifname "cali*" fib saddr . iif oif 0 drop comment "pods send from their own addresses"`,
];

test.each([4, 6] as const)("IPv%i: a pod sends from its addresses alone, whatever it asks for", (family) => {
  const name = family === 4 ? "ip" : "ip6";
  for (const setting of [undefined, "Disabled"] as const)
    expect(rules(setting, family)).toEqual([...hook(name), ...check(name)]);
});

test("with workloadSourceSpoofing Any also from the networks that it names", () => {
  const allow = (family: string, match: string, source: string) =>
    `add rule ${family} tortie_source allowed iifname "cali1" ${match}accept comment "default/router may send from ${source}"`;
  expect(rules("Any", 4)).toEqual([
    ...hook("ip"),
    allow("ip", "", "0.0.0.0/0"),
    allow("ip", "ip saddr 10.9.0.0/17 ", "10.9.0.0/17"),
    ...check("ip"),
    "net/ipv4/conf/cali1/rp_filter 0",
  ]);
  expect(rules("Any", 6)).toEqual([...hook("ip6"), allow("ip6", "ip6 saddr fd09::/48 ", "fd09::/48"), ...check("ip6")]);
});

test("a family without pools has no table, and the former one goes", () => {
  const ofIpv4 = pools.slice(0, 1);
  expect(planSourceCheck({ endpoints: [], pools: ofIpv4, settings: {} }, 6)).toEqual([]);
  expect(sourceScopes([4, 6])).toContainEqual({ kind: "table", family: "ip6", name: "tortie_source" });
});

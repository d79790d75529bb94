import { expect, test } from "vitest";
import { maxTargetLength, tables } from "../../../../plugins/portmap/tables.ts";
import { applyNft } from "../../../../src/dataplane/nftables/apply.ts";
import { probeNft } from "../../../../src/dataplane/nftables/probe.ts";
import { natTables } from "../../../../src/plan/nat-outgoing.ts";
import { FakeNft } from "../../../lib/fake/nft.ts";
import { nftSys } from "../../../lib/fake/nft-sys.ts";

const ports = [...tables, maxTargetLength];

function probe(nft: FakeNft, resources: Parameters<typeof probeNft>[0] = ports): readonly string[] {
  return [...probeNft(resources, nftSys(nft))].map(([family, { message }]) => `${family}: ${message}`);
}

test("probeTables() succeeds if an ADD would, and creates nothing", () => {
  const nft = new FakeNft();
  expect([...probe(nft), ...probe(nft, natTables)]).toEqual([]);
  expect(nft.print()).toBe("");
});

test("probeTables() asks once and tests nothing while a table exists", () => {
  const nft = new FakeNft();
  applyNft(ports, "tortie:net/c1/eth0", nftSys(nft));
  nft.missingModules.add("nft_chain_nat");
  nft.datagrams = 0;
  expect(probe(nft)).toEqual([]);
  expect(nft.datagrams).toBe(1);
});

test("probeTables() does not mistake a concurrent ADD for a missing feature", () => {
  const nft = new FakeNft();
  nft.before = () => void applyNft(ports, "tortie:net/c1/eth0", nftSys(nft));
  expect(probe(nft)).toEqual([]);
});

test.each<[string, readonly string[]]>([
  [
    "nft_chain_nat",
    ["ip: cannot make chain ip tortie_portmap prerouting", "ip6: cannot make chain ip6 tortie_portmap prerouting"],
  ],
  ["nft_fib_ipv4", ['ip: cannot make rule "to an address of the host" of chain ip tortie_portmap prerouting']],
  ["nft_fib_ipv6", ['ip6: cannot make rule "to an address of the host" of chain ip6 tortie_portmap prerouting']],
])("names %s, the first reason of each family", (module, wanted) => {
  const nft = new FakeNft();
  nft.missingModules.add(module);
  const found = probe(nft);
  expect(found.map((text) => text.split(": the kernel has no ")[0])).toEqual(wanted);
  for (const text of found) expect(text).toMatch(new RegExp(`; load module ${module}$`));
  expect(nft.print()).toBe("");
});

test("probeTables() recognises a kernel before 5.8, which does not support IPv6 host ports", () => {
  const nft = new FakeNft();
  nft.longestDatum = 16;
  expect(probe(nft)).toEqual([expect.stringMatching(/^ip6: .*IPv6 host ports need Linux 5.8 or newer$/)]);
});

test("probeTables() throws without nf_tables", () => {
  const nft = new FakeNft();
  nft.missingModules.add("nf_tables");
  expect(() => probe(nft)).toThrow("cannot use nf_tables: the kernel does not support them; load module nf_tables");
});

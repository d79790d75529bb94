import { describe, expect, test } from "vitest";
import { applyNft } from "../../../../src/dataplane/nftables/apply.ts";
import { hasNft, hasNftChain } from "../../../../src/dataplane/nftables/has.ts";
import type { NftElements, NftTable } from "../../../../src/plan/nft.ts";
import { FakeNft } from "../../../lib/fake/nft.ts";
import { nftSys } from "../../../lib/fake/nft-sys.ts";
import { parseFault } from "../../../lib/faults/fault.ts";
import { faultySys } from "../../../lib/faults/faulty-sys.ts";

const table: NftTable = {
  kind: "nft-table",
  family: "ip",
  name: "t",
  sets: [{ name: "m", key: ["inet_service"], data: ["ipv4_addr", "inet_service"] }],
  chains: [{ name: "c", rules: [{ statements: [{ verdict: "drop" }], comment: "end" }] }],
};
const elements: NftElements = {
  kind: "nft-elements",
  family: "ip",
  table: "t",
  set: "m",
  elements: [{ key: ["80"], data: ["10.0.0.1", "80"] }],
};
const sys = nftSys(new FakeNft());
applyNft([table, elements], "tortie:net/c1/eth0", sys);

const ip = { family: "ip", table: "t" } as const;
const has = { hasNft: () => hasNft([ip], sys)[0], hasNftChain: () => hasNftChain("ip", "t", "c", sys) };
const die = () => {
  throw new Error("killed");
};

test("hasNft() and hasNftChain() report whether a table or chain exists", () => {
  expect([has.hasNft(), has.hasNftChain()]).toEqual([true, true]);
  expect(hasNft([{ ...ip, family: "ip6" }, ip, { ...ip, chain: "d" }], sys)).toEqual([false, true, false]);
  expect(hasNftChain("ip", "t", "d", sys)).toBe(false);
});

/** The steps are: a socket, a send, a receive. */
describe("hasNftChain()", () => {
  const failing = (fault: string) => () =>
    hasNftChain("ip", "t", "c", faultySys(sys, { faults: [parseFault(fault)], die }));

  test.each(["1:EPROTONOSUPPORT", "1:EAFNOSUPPORT"])("is false on a kernel without netfilter (%s)", (fault) =>
    expect(failing(fault)()).toBe(false),
  );

  test("is false on a kernel whose netfilter has no nf_tables", () => {
    const nft = new FakeNft();
    nft.missingModules.add("nf_tables");
    expect(hasNftChain("ip", "t", "c", nftSys(nft))).toBe(false);
  });

  // EINVAL: refuses only this question, but answers others about nf_tables.
  test.each(["1:EMFILE", "1:EPERM", "2:ENOBUFS", "2:EPERM", "2:EPERM/0", "2:EINVAL/0"])(
    "throws where it cannot know (%s)",
    (fault) => expect(failing(fault)).toThrow(/^cannot .* (nf_tables|the kernel): /),
  );
});

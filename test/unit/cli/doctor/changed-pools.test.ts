import { expect, test } from "vitest";
import { notesOfChangedPools } from "../../../../src/cli/doctor/changed-pools.ts";
import type { FirewallFacts } from "../../../../src/cli/doctor/firewall.ts";
import { poolsDigest } from "../../../../src/plan/nat-outgoing.ts";

/** The shared table after an ADD with a foreign IPAM plugin, on a node that never had a pool. */
const digestAlone = {
  nftTables: [{ family: "ip", name: "tortie", elements: [{ set: poolsDigest, key: "0", target: "7" }] }],
} as unknown as FirewallFacts;

test("notesOfChangedPools() tells nothing where no set would change", () => {
  expect(notesOfChangedPools(digestAlone, { pools: [] })).toEqual([]);
});

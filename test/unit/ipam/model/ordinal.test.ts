import { expect, test } from "vitest";
import { blockAddress, blockOrdinal } from "../../../../src/ipam/model/ordinal.ts";

test("blockAddress() is the inverse of blockOrdinal(), however often a block is asked", () => {
  for (const cidr of ["10.65.255.192/26", "2001:db8::ff80/122"]) {
    for (const ordinal of [0, 1, 63, 1]) {
      expect(blockOrdinal(cidr, blockAddress({ cidr }, ordinal))).toBe(ordinal);
    }
  }
});

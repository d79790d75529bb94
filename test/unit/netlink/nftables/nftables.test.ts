/** The bytes of nf_tables' rules, which must be those that even the oldest supported kernel stores completely (Linux 4.19). */
import { expect, test } from "vitest";
import { AttributeWriter } from "../../../../src/netlink/codec/attribute-writer.ts";
import { type Expression, hostWord, writeExpressions } from "../../../../src/netlink/nftables/expression.ts";
import { hex } from "../hex.ts";

function bytes(expression: Expression): string {
  const writer = new AttributeWriter();
  writeExpressions(writer, [expression]);
  return hex(writer.finish());
}

test("newRule(): a register under a mask, without NFTA_BITWISE_OP (Linux 5.6), which an older kernel would forget", () => {
  // NFTA_LIST_ELEM { NFTA_EXPR_NAME "bitwise", NFTA_EXPR_DATA { SREG 1, DREG 1, LEN 4, MASK { VALUE }, XOR { VALUE } } }
  expect(bytes({ and: hostWord(0x20), register: 1 })).toBe(
    `44000180 0c000100 62697477697365 00 34000280
     08000100 00000001 08000200 00000001 08000300 00000004
     0c000480 08000100 20000000 0c000580 08000100 00000000`.replace(/\s+/g, ""),
  );
});

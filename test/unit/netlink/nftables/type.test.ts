import { describe, expect, test } from "vitest";
import {
  afterPrefix,
  type DataType,
  decodeFields,
  encodeFields,
  typeId,
  typeLength,
} from "../../../../src/netlink/nftables/type.ts";

// What nft 1.0.6 writes for the same texts (nft --debug=mnl).
test.each<[readonly DataType[], number, number, readonly string[], string]>([
  [["ipv4_addr"], 0x7, 4, ["10.0.0.5"], "0a000005"],
  [["inet_proto", "inet_service"], 0x30d, 8, ["tcp", "8080"], "060000001f900000"],
  [["ipv4_addr", "inet_service"], 0x1cd, 8, ["10.0.0.5", "80"], "0a00000500500000"],
  [["ipv4_addr", "inet_proto", "inet_service"], 0x730d, 12, ["192.0.2.1", "sctp", "1"], "c00002018400000000010000"],
  [["mark"], 0x13, 4, ["1"], "01000000"],
  [["ipv6_addr", "inet_service"], 0x20d, 20, ["2001:db8::1", "65535"], "20010db8000000000000000000000001ffff0000"],
])("%s is type %i of %i bytes", (fields, id, length, texts, bytes) => {
  expect(typeId(fields)).toBe(id);
  expect(typeLength(fields)).toBe(length);
  expect(Buffer.from(encodeFields(fields, texts)).toString("hex")).toBe(bytes);
  expect(decodeFields(fields, encodeFields(fields, texts))).toEqual(texts);
});

test("encodeFields() refuses another number of fields", () => {
  expect(() => encodeFields(["mark"], ["1", "2"])).toThrow(RangeError);
});

test("decodeFields() refuses too few bytes", () => {
  expect(() => decodeFields(["ipv6_addr"], new Uint8Array(4))).toThrow("cannot read ipv6_addr: 4 bytes");
});

describe("afterPrefix()", () => {
  test.each([
    ["0a000000", 16, "0a010000"],
    ["0affff00", 24, "0b000000"],
    ["c0a80000", 26, "c0a80040"],
    ["0a000005", 32, "0a000006"],
    ["ffff0000", 16, undefined],
    ["00000000", 0, undefined],
  ])("of %s/%i is %s", (network, length, next) => {
    const bytes = afterPrefix(Uint8Array.from(Buffer.from(network, "hex")), length);
    expect(bytes && Buffer.from(bytes).toString("hex")).toBe(next);
  });
});

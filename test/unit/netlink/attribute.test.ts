import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  be16Of,
  be32Of,
  be64Of,
  listAttributes,
  MalformedError,
  readAttributes,
  stringOf,
  u8Of,
  u16Of,
  u32Of,
  u64Of,
} from "../../../src/netlink/codec/attribute.ts";
import { AttributeWriter } from "../../../src/netlink/codec/attribute-writer.ts";
import { hex, unhex } from "./hex.ts";

describe("AttributeWriter", () => {
  test.each<[string, (writer: AttributeWriter) => AttributeWriter, string]>([
    ["u8 is padded to four bytes", (w) => w.u8(1, 7), "0500 0100 07 000000"],
    ["u16 has the machine's order", (w) => w.u16(2, 0x0102), "0600 0200 0201 0000"],
    ["u32 has the machine's order", (w) => w.u32(3, 0x01020304), "0800 0300 04030201"],
    ["u64 goes up to 2^53", (w) => w.u64(4, 2 ** 53), "0c00 0400 0000000000002000"],
    ["be16 has network order", (w) => w.be16(5, 0x0102), "0600 0500 0102 0000"],
    ["be32 has network order", (w) => w.be32(6, 0x01020304), "0800 0600 01020304"],
    ["be64 has network order", (w) => w.be64(7, 2 ** 32 + 2), "0c00 0700 0000000100000002"],
    ["a string ends in NUL, which its length counts", (w) => w.string(8, "eth0"), "0900 0800 6574683000 000000"],
    ["a string is UTF-8", (w) => w.string(8, "ü"), "0700 0800 c3bc00 00"],
    [
      "a string is UTF-8 behind ASCII, too, and what follows it is whole",
      (w) => w.string(8, "eth0ü").u8(1, 7),
      "0b00 0800 65746830c3bc00 00 0500 0100 07 000000",
    ],
    ["bytes have no NUL", (w) => w.bytes(9, Uint8Array.of(1, 2, 3)), "0700 0900 010203 00"],
    ["a flag has no value", (w) => w.flag(10), "0400 0a00"],
    ["a nest says so and counts its content", (w) => w.nest(18, () => w.u8(1, 7)), "0c00 1280 0500 0100 07 000000"],
    ["an empty nest is its header", (w) => w.nest(18, () => {}), "0400 1280"],
    [
      "a fixed header comes before",
      (w) => w.octets(2, 32, 3, 255).halves(0x0102, 0xfffe).word(-1).flag(1),
      "02 20 03 ff 0201 feff ffffffff 0400 0100",
    ],
  ])("%s", (_, write, bytes) => {
    expect(hex(write(new AttributeWriter()).finish())).toBe(bytes.replaceAll(" ", ""));
  });

  test("grows beyond its first size and keeps what was written", () => {
    const writer = new AttributeWriter();
    for (let type = 1; type <= 100; type++) writer.u32(type, type * 7);
    const attributes = readAttributes(writer.finish());
    for (let type = 1; type <= 100; type++) expect(u32Of(attributes.get(type) ?? new Uint8Array())).toBe(type * 7);
    expect(attributes.get(101)).toBeUndefined();
  });

  test.each<[string, number, (writer: AttributeWriter) => AttributeWriter]>([
    ["octets()", 4, (writer) => writer.octets(0x5a, 0x5a, 0x5a, 0x5a)],
    ["halves()", 4, (writer) => writer.halves(0x5a5a, 0x5a5a)],
    ["word()", 4, (writer) => writer.word(0x5a5a5a5a)],
  ])("%s grows the buffer before it writes", (_, size, write) => {
    const writer = new AttributeWriter();
    for (let count = 0; count < 1000; count++) write(writer);
    expect(writer.finish()).toEqual(new Uint8Array(1000 * size).fill(0x5a));
  });

  test("grows in the middle of a nest, and beside bytes and texts", () => {
    const texts = Array.from({ length: 60 }, (_, index) => "x".repeat(index));
    const writer = new AttributeWriter().nest(1, (nested) => {
      for (const text of texts)
        nested
          .string(2, text)
          .bytes(
            3,
            Uint8Array.from(text, () => 7),
          )
          .be64(4, text.length);
    });
    const [nest] = listAttributes(writer.finish());
    const values = listAttributes(nest?.value ?? new Uint8Array()).map(({ value }) => value);
    expect(values).toHaveLength(3 * texts.length);
    for (const [index, text] of texts.entries()) {
      expect(stringOf(values[3 * index] as Uint8Array)).toBe(text);
      expect(values[3 * index + 1]).toEqual(new Uint8Array(index).fill(7));
      expect(be64Of(values[3 * index + 2] as Uint8Array)).toBe(index);
    }
  });

  test("refuses an attribute that is too long for its length field", () => {
    expect(() => new AttributeWriter().bytes(1, new Uint8Array(0xffff))).toThrow(MalformedError);
  });
});

describe("readAttributes()", () => {
  test("gives back what the writer wrote", () => {
    const number = fc.maxSafeNat();
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 1, max: 0x3fff }), number, fc.string({ unit: "binary" })), {
          maxLength: 5,
        }),
        (list) => {
          const writer = new AttributeWriter();
          for (const [type, value, text] of list) {
            writer.nest(type, () => {
              writer
                .u8(1, value & 0xff)
                .u16(2, value & 0xffff)
                .u32(3, value)
                .u64(4, value);
              writer
                .be16(5, value & 0xffff)
                .be32(6, value)
                .be64(7, value)
                .string(8, text.replaceAll("\0", ""));
            });
          }
          const read = listAttributes(writer.finish()).map(({ type, value }) => {
            const inner = readAttributes(value);
            const at = (key: number) => inner.get(key) ?? new Uint8Array();
            return [
              type,
              u8Of(at(1)),
              u16Of(at(2)),
              u32Of(at(3)),
              u64Of(at(4)),
              be16Of(at(5)),
              be32Of(at(6)),
              be64Of(at(7)),
              stringOf(at(8)),
            ];
          });
          expect(read).toEqual(
            list.map(([type, value, text]) => {
              const [low, half] = [value % 2 ** 32, value % 2 ** 16];
              return [type, value % 256, half, low, value, half, low, value, text.replaceAll("\0", "")];
            }),
          );
        },
      ),
    );
  });

  test("ends on any bytes, with attributes or a MalformedError", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        try {
          const total = listAttributes(bytes).reduce((sum, { value }) => sum + 4 + value.length, 0);
          expect(total).toBeLessThanOrEqual(bytes.length);
        } catch (error) {
          expect(error).toBeInstanceOf(MalformedError);
        }
      }),
    );
  });

  test.each([
    ["a header that is cut", "0800 01", "cannot read netlink attribute header: wanted 4 bytes, found 3"],
    ["a value that is cut", "0800 0100 0102", "cannot read netlink attribute: wanted 8 bytes, found 6"],
    ["a length that would not advance", "0000 0100", "cannot read netlink attribute: its length is 0"],
    ["a length less than the header", "0300 0100", "cannot read netlink attribute: its length is 3"],
  ])("refuses %s", (_, bytes, message) => {
    expect(() => readAttributes(unhex(bytes))).toThrow(message);
  });

  test("does not need the pad of the last attribute", () => {
    expect(listAttributes(unhex("0500 0100 07"))).toEqual([{ type: 1, value: Uint8Array.of(7) }]);
  });

  test("takes the flag bits off the type", () => {
    expect(listAttributes(unhex("0400 12c0"))[0]?.type).toBe(0x12);
  });

  test("u32Of() refuses a value that is too short", () => {
    expect(() => u32Of(Uint8Array.of(1, 2, 3))).toThrow("cannot read netlink number: wanted 4 bytes, found 3");
  });
});

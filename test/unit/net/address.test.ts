import { isIPv4, isIPv6 } from "node:net";
import fc from "fast-check";
import { IPv6 } from "ip-num";
import { describe, expect, test } from "vitest";
import {
  addressToBigInt,
  bigIntToAddress,
  canonicalAddress,
  familyOf,
  formatAddress,
  parseAddress,
} from "../../../src/net/address.ts";
import { howMany } from "../../lib/how-many.ts";

const bytesOf = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
/** IPv6 bytes with runs of zeros, where "::" goes. */
const sparse16 = fc
  .array(fc.oneof({ weight: 2, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(0xffff) }), {
    minLength: 8,
    maxLength: 8,
  })
  .map((groups) => Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 0xff])));
/** Texts similar to addresses, most of them invalid. */
const addressLike = fc.oneof(
  fc.ipV4(),
  fc.ipV6(),
  fc.stringMatching(/^[0-9a-fA-F:.]{0,24}$/),
  fc.tuple(fc.oneof(fc.ipV4(), fc.ipV6()), fc.constantFrom(" ", ".", ":", "0", "%lo", "/8")).map(([a, b]) => a + b),
);

describe("parseAddress()", () => {
  test("accepts what node:net accepts, zones aside", () => {
    fc.assert(
      fc.property(addressLike, (text) => {
        const expected = !text.includes("%") && (isIPv4(text) || isIPv6(text));
        expect(parseAddress(text) !== undefined).toBe(expected);
      }),
      { numRuns: howMany(3000) },
    );
  });

  test.each([
    "",
    "1.2.3",
    "1.2.3.",
    "1.2.3.4.",
    "1.2.3.4.5",
    "01.2.3.4",
    "1.2.3.256",
    " 1.2.3.4",
    "1.2.3.4/8",
    "0x1.2.3.4",
    "1.2.3.-0",
    "1.2.3.1e1",
    // Properties of an array.
    "1.at.2.3",
    "1.2.map.3",
    "length.1.2.3",
    ":",
    ":::",
    "1::2::3",
    "1:2:3:4:5:6:7:8::",
    "fe80::1%eth0",
    "1.2.3.4::",
    "::1.2.3.4:5",
    "::1.2.3",
    "12345::",
    "g::",
  ])("refuses %j", (text) => expect(parseAddress(text)).toBeUndefined());

  test("is the inverse of formatAddress()", () => {
    fc.assert(
      fc.property(fc.oneof(bytesOf(4), bytesOf(16), sparse16), (bytes) => {
        expect(parseAddress(formatAddress(bytes))).toEqual(bytes);
      }),
    );
  });

  test("agrees with ip-num on the value of an IPv6 address", () => {
    fc.assert(
      fc.property(sparse16, (bytes) => {
        const expanded = formatAddress(bytes).includes(".") ? undefined : new IPv6(formatAddress(bytes));
        if (expanded !== undefined) expect(addressToBigInt(formatAddress(bytes))).toBe(expanded.getValue());
      }),
    );
  });
});

describe("canonicalAddress()", () => {
  test.each([
    ["10.0.0.5", "10.0.0.5"],
    ["0:0:0:0:0:0:0:0", "::"],
    ["::1", "::1"],
    ["2001:DB8:0:0:0:0:0:1", "2001:db8::1"],
    ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"],
    ["1:0:0:0:0:0:0:0", "1::"],
    ["::ffff:10.0.0.5", "::ffff:10.0.0.5"],
    ["::FFFF:0a00:0005", "::ffff:10.0.0.5"],
    ["64:ff9b::1.2.3.4", "64:ff9b::102:304"],
  ])("writes %s as %s (RFC 5952)", (text, canonical) => expect(canonicalAddress(text)).toBe(canonical));

  test("answers undefined to what is no address", () => expect(canonicalAddress("web-0")).toBeUndefined());
});

describe("addressToBigInt(), bigIntToAddress()", () => {
  test("bigIntToAddress() is the inverse of addressToBigInt()", () => {
    fc.assert(
      fc.property(fc.oneof(bytesOf(4), bytesOf(16)).map(formatAddress), (address) => {
        expect(bigIntToAddress(addressToBigInt(address), familyOf(address))).toBe(address);
      }),
    );
  });

  test.each([
    [1n << 32n, 4],
    [-1n, 4],
    [1n << 128n, 6],
  ] as const)("bigIntToAddress(%s, %s) is out of range", (value, family) => {
    expect(() => bigIntToAddress(value, family)).toThrow(RangeError);
  });
});

import fc from "fast-check";
import { IPv4CidrRange, IPv6CidrRange } from "ip-num";
import { describe, expect, test } from "vitest";
import { familyOf, formatAddress } from "../../../src/net/address.ts";
import {
  addressAt,
  addressCount,
  addressOf,
  contains,
  formatPrefix,
  hostPrefix,
  lengthOf,
  maskPrefix,
  ordinalOf,
  overlaps,
  parsePrefix,
} from "../../../src/net/prefix.ts";

const address = fc
  .constantFrom(4, 16)
  .chain((length) => fc.uint8Array({ minLength: length, maxLength: length }))
  .map(formatAddress);
const prefix = address.chain((text) => fc.nat(familyOf(text) === 4 ? 32 : 128).map((length) => `${text}/${length}`));
/** Prefixes that often overlap: few distinct bits, lengths around them. */
const crowded = fc
  .tuple(fc.nat(7), fc.integer({ min: 5, max: 8 }))
  .map(([bits, length]) => `${bits << 3}.0.0.0/${length}`);

function range(text: string): IPv4CidrRange | IPv6CidrRange {
  return familyOf(text) === 4 ? IPv4CidrRange.fromCidr(text) : IPv6CidrRange.fromCidr(text);
}

describe("parsePrefix()", () => {
  test.each([
    "10.0.0.0",
    "10.0.0.0/",
    "10.0.0.0/33",
    "10.0.0.0/08",
    "10.0.0.0/+8",
    "10.0.0.0/-1",
    "10.0.0.0/at",
    "10.0.0.0/length",
    "10.0.0/8",
    "::/129",
    "/8",
    "::/1/2",
  ])("refuses %j", (text) => expect(parsePrefix(text)).toBeUndefined());

  test("is the inverse of formatPrefix()", () => {
    fc.assert(
      fc.property(prefix, (text) => {
        const parsed = parsePrefix(text);
        expect(parsed && formatPrefix(parsed)).toBe(text);
      }),
    );
  });
});

describe("contains(), overlaps(), maskPrefix() agree with ip-num", () => {
  test("on the first address and the count", () => {
    fc.assert(
      fc.property(prefix, (text) => {
        const oracle = range(text);
        expect(addressAt(text, 0)).toBe(addressOf(maskPrefix(text)));
        expect(addressAt(text, addressCount(text) - 1n)).toBe(canonical(oracle.getLast().getValue(), text));
        expect(addressAt(text, 0)).toBe(canonical(oracle.getFirst().getValue(), text));
        expect(addressCount(text)).toBe(oracle.getSize());
      }),
    );
  });

  test("on contains() and overlaps()", () => {
    fc.assert(
      fc.property(crowded, crowded, (a, b) => {
        const [first, second] = [IPv4CidrRange.fromCidr(a), IPv4CidrRange.fromCidr(b)];
        expect(contains(a, b)).toBe(first.contains(second) || first.isEquals(second));
        expect(overlaps(a, b)).toBe(first.contains(second) || second.contains(first) || first.isEquals(second));
      }),
    );
  });
});

describe("contains()", () => {
  test("is not changed by what callers do with an address of a prefix", () => {
    expect(maskPrefix("10.9.0.7/16")).toBe("10.9.0.0/16");
    expect(addressAt("10.9.0.7/16", 3)).toBe("10.9.0.3");
    expect(contains("10.9.0.7/16", "10.9.255.1")).toBe(true);
    expect(maskPrefix("10.9.0.7/32")).toBe("10.9.0.7/32");
  });

  test.each([
    ["10.0.0.0/26", "10.0.0.63", true],
    ["10.0.0.0/26", "10.0.0.64", false],
    ["10.0.0.7/26", "10.0.0.0/26", true],
    ["10.0.0.0/26", "10.0.0.0/25", false],
    ["0.0.0.0/0", "255.255.255.255", true],
    ["0.0.0.0/0", "::1", false],
    ["::/0", "2001:db8::/32", true],
    ["2001:db8::/122", "2001:db8::3f", true],
    ["2001:db8::/122", "2001:db8::40", false],
  ])("%s, %s: %s", (outer, inner, expected) => expect(contains(outer, inner)).toBe(expected));

  test("throws at what was not parsed", () =>
    expect(() => contains("10.0.0.0", "x")).toThrow('cannot parse address "x"'));
});

describe("addressAt(), ordinalOf()", () => {
  test("ordinalOf() is the inverse of addressAt()", () => {
    fc.assert(
      fc.property(prefix, fc.bigInt(0n, (1n << 128n) - 1n), (text, random) => {
        const ordinal = random % addressCount(text);
        expect(ordinalOf(text, addressAt(text, ordinal))).toBe(ordinal);
      }),
    );
  });

  test("an address outside has no ordinal", () => expect(ordinalOf("10.0.0.0/26", "10.0.0.64")).toBeUndefined());
  test("beyond the prefix is no address", () => expect(() => addressAt("10.0.0.0/26", 64)).toThrow(RangeError));
});

test.each([
  ["10.0.0.5", "10.0.0.5/32", 32],
  ["fd00::5", "fd00::5/128", 128],
])("hostPrefix(%s) is %s", (text, expected, length) => {
  expect(hostPrefix(text)).toBe(expected);
  expect(lengthOf(text)).toBe(length);
  expect(lengthOf(expected)).toBe(length);
});

function canonical(value: bigint, like: string): string {
  const size = familyOf(like) === 4 ? 4 : 16;
  const digits = value.toString(16).padStart(size * 2, "0");
  return formatAddress(
    Uint8Array.from({ length: size }, (_, i) => Number.parseInt(digits.slice(i * 2, i * 2 + 2), 16)),
  );
}

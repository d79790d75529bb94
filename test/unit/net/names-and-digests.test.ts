import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { hostInterfaceName } from "../../../plugins/calico/host-interface.ts";
import { sha1, sha256, sha512 } from "../../../src/net/digest.ts";
import { interfaceNameFault } from "../../../src/net/interface-name.ts";
import { canonicalMac, formatMac, linkLocalOf, parseMac } from "../../../src/net/mac.ts";
import { decodeUtf8, encodeUtf8 } from "../../../src/net/text.ts";
import { howMany } from "../../lib/how-many.ts";

describe.each([
  ["sha1", sha1],
  ["sha256", sha256],
  ["sha512", sha512],
] as const)("%s()", (algorithm, digest) => {
  test("agrees with node:crypto", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 300 }), (text) => {
        expect(digest(text)).toBe(createHash(algorithm).update(text).digest("hex"));
      }),
    );
  });

  test("agrees at every length around the block's end", () => {
    for (let length = 0; length < 260; length++) {
      const text = "a".repeat(length);
      expect(digest(text)).toBe(createHash(algorithm).update(text).digest("hex"));
    }
  });
});

describe("encodeUtf8(), decodeUtf8()", () => {
  test("encodeUtf8() agrees with TextEncoder, lone surrogates too", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(0xffff)), (units) => {
        const text = String.fromCharCode(...units);
        expect(encodeUtf8(text)).toEqual(new TextEncoder().encode(text));
      }),
    );
  });

  test("decodeUtf8() agrees with TextDecoder on any bytes", () => {
    const lead = fc.constantFrom(
      0xc1,
      0xc2,
      0xe0,
      0xe1,
      0xed,
      0xef,
      0xf0,
      0xf1,
      0xf4,
      0xf5,
      0x80,
      0x9f,
      0xa0,
      0xbf,
      0x41,
    );
    fc.assert(
      fc.property(fc.array(fc.oneof(lead, fc.nat(255))), (bytes) => {
        const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
        expect(decodeUtf8(Uint8Array.from(bytes))).toBe(decoder.decode(Uint8Array.from(bytes)));
      }),
      { numRuns: howMany(2000) },
    );
  });
});

describe("parseMac(), formatMac()", () => {
  test("formatMac() is the inverse of parseMac()", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 6, maxLength: 6 }), (bytes) => {
        expect(parseMac(formatMac(bytes))).toEqual(bytes);
      }),
    );
  });

  test.each([
    ["EE-EE-ee-ee-ee-01", "ee:ee:ee:ee:ee:01"],
    ["ee:ee:ee-ee:ee:01", undefined],
    ["ee:ee:ee:ee:ee", undefined],
    ["ee:ee:ee:ee:ee:ee:ee", undefined],
    ["eeeeeeeeeeee", undefined],
    ["ge:ee:ee:ee:ee:ee", undefined],
  ])("canonicalMac(%j) is %j", (text, expected) => expect(canonicalMac(text)).toBe(expected));

  test("linkLocalOf() inverts the universal bit and inserts ff:fe", () => {
    expect(linkLocalOf("ee:ee:ee:ee:ee:ee")).toBe("fe80::ecee:eeff:feee:eeee");
  });
});

describe("interfaceNameFault()", () => {
  test.each([
    ["eth0", undefined],
    ["abcdefghijklmno", undefined],
    ["...", undefined],
    ["", "empty"],
    ["abcdefghijklmnop", "too long"],
    ["éééééééé", "too long"],
    [".", "dots"],
    ["..", "dots"],
    ["a/b", "characters"],
    ["a:b", "characters"],
    ["a b", "characters"],
    ["a\tb", "characters"],
    ["a\u0085b", "characters"],
  ])("interfaceNameFault(%j) is %j", (name, expected) => expect(interfaceNameFault(name)).toBe(expected));

  const attachment = { network: "net1", containerId: "c1", ifname: "eth0" };
  const pod = { namespace: "default", name: "nginx" };

  test("hostInterfaceName() gives a pod's eth0 Calico's name", () => {
    expect(hostInterfaceName(attachment, pod)).toBe(`cali${sha1("default.nginx").slice(0, 11)}`);
    expect(hostInterfaceName({ ...attachment, containerId: "c2", network: "net2" }, pod)).toBe("calic440f455693");
  });

  test.each([
    ["without a pod", attachment, undefined, "net1.c1.eth0"],
    ["at another interface of a pod", { ...attachment, ifname: "net1" }, pod, "net1.c1.net1"],
  ])("hostInterfaceName() %s hashes the attachment", (_, key, of, hashed) => {
    expect(hostInterfaceName(key, of)).toBe(`cali${createHash("sha1").update(hashed).digest("hex").slice(0, 11)}`);
  });
});

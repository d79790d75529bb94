import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseResult, resultAs } from "../../../src/cni/convert.ts";
import type { Result } from "../../../src/cni/result.ts";
import { type CniVersion, supportedVersions } from "../../../src/cni/version.ts";
import { formatAddress } from "../../../src/net/address.ts";

const full: Result = {
  interfaces: [
    { name: "cali1", mac: "ee:ee:ee:ee:ee:ee", mtu: 1500, zzz: 1 },
    { name: "eth0", mac: "aa:bb:cc:dd:ee:ff", sandbox: "/run/netns/T", socketPath: "/s", pciID: "0000:00:1f.6" },
  ],
  ips: [
    { address: "10.1.0.5/32", interface: 1, gateway: "169.254.1.1", weight: 3 },
    { address: "fd00::5/128", interface: 1 },
  ],
  routes: [
    { dst: "0.0.0.0/0", gw: "169.254.1.1", mtu: 1400, priority: 5 },
    { dst: "::/0", table: 100 },
  ],
  dns: { nameservers: ["10.1.0.1"] },
  "example.com/extra": { a: null },
};

describe("resultAs()", () => {
  test("prints 1.1.0 with alphabetical keys", () => {
    expect(JSON.stringify(resultAs(full, "1.1.0"))).toBe(
      '{"cniVersion":"1.1.0","dns":{"nameservers":["10.1.0.1"]},"example.com/extra":{"a":null},' +
        '"interfaces":[{"name":"cali1","mac":"ee:ee:ee:ee:ee:ee","mtu":1500,"zzz":1},' +
        '{"name":"eth0","mac":"aa:bb:cc:dd:ee:ff","sandbox":"/run/netns/T","socketPath":"/s","pciID":"0000:00:1f.6"}],' +
        '"ips":[{"interface":1,"address":"10.1.0.5/32","gateway":"169.254.1.1","weight":3},{"interface":1,"address":"fd00::5/128"}],' +
        '"routes":[{"dst":"0.0.0.0/0","gw":"169.254.1.1","mtu":1400,"priority":5},{"dst":"::/0","table":100}]}',
    );
  });

  test("changes only the label within one row of shapes", () => {
    expect(resultAs(full, "1.0.0")).toEqual({ ...resultAs(full, "1.1.0"), cniVersion: "1.0.0" });
    expect(resultAs(full, "0.3.1")).toEqual({ ...resultAs(full, "0.4.0"), cniVersion: "0.3.1" });
  });

  test("prints 0.4.0 with the family of addresses and without what interfaces learned later", () => {
    expect(JSON.stringify(resultAs(full, "0.4.0"))).toBe(
      '{"cniVersion":"0.4.0","interfaces":[{"name":"cali1","mac":"ee:ee:ee:ee:ee:ee","zzz":1},' +
        '{"name":"eth0","mac":"aa:bb:cc:dd:ee:ff","sandbox":"/run/netns/T"}],' +
        '"ips":[{"version":"4","interface":1,"address":"10.1.0.5/32","gateway":"169.254.1.1","weight":3},' +
        '{"version":"6","interface":1,"address":"fd00::5/128"}],' +
        '"routes":[{"dst":"0.0.0.0/0","gw":"169.254.1.1","mtu":1400,"priority":5},{"dst":"::/0","table":100}],' +
        '"dns":{"nameservers":["10.1.0.1"]},"example.com/extra":{"a":null}}',
    );
  });

  test("prints 0.2.0 with the first address of each family and its routes", () => {
    const more = { ...full, ips: [...(full.ips ?? []), { address: "10.1.0.6/32" }] };
    expect(JSON.stringify(resultAs(more, "0.2.0"))).toBe(
      '{"cniVersion":"0.2.0","ip4":{"ip":"10.1.0.5/32","gateway":"169.254.1.1",' +
        '"routes":[{"dst":"0.0.0.0/0","gw":"169.254.1.1","mtu":1400,"priority":5}],"weight":3},' +
        '"ip6":{"ip":"fd00::5/128","routes":[{"dst":"::/0","table":100}]},' +
        '"dns":{"nameservers":["10.1.0.1"]},"example.com/extra":{"a":null}}',
    );
  });

  test.each([
    ["1.1.0", '{"cniVersion":"1.1.0"}'],
    ["0.4.0", '{"cniVersion":"0.4.0","dns":{}}'],
  ] as const)("prints nothing in %s as %s", (version, text) => {
    expect(JSON.stringify(resultAs({ interfaces: [], ips: [], routes: [], dns: {} }, version))).toBe(text);
  });

  test("keeps index 0", () => {
    expect(resultAs({ ips: [{ address: "10.0.0.1/32", interface: 0 }] }, "1.0.0").ips).toEqual([
      { address: "10.0.0.1/32", interface: 0 },
    ]);
  });

  test("refuses 0.2.0 without an address", () => {
    expect(() => resultAs({ ips: [] }, "0.2.0")).toThrow(expect.objectContaining({ code: 1 }));
  });
});

describe("parseResult()", () => {
  const parse = (value: unknown, version: CniVersion = "1.1.0") => parseResult(value, version, "prevResult");

  test("reads 0.2.0 as addresses v4, v6 and routes in the same order", () => {
    const oldest = {
      cniVersion: "0.2.0",
      ip6: { ip: "fd00::5/64", routes: [{ dst: "::/0" }] },
      ip4: { ip: "10.1.0.5/16", gateway: "10.1.0.1", routes: [{ dst: "0.0.0.0/0" }] },
      dns: {},
    };
    expect(parse(oldest)).toEqual({
      ips: [{ address: "10.1.0.5/16", gateway: "10.1.0.1" }, { address: "fd00::5/64" }],
      routes: [{ dst: "0.0.0.0/0" }, { dst: "::/0" }],
      dns: {},
    });
  });

  test("takes the request's version where the result has none", () => {
    const ip4 = { ip: "10.1.0.5/16" };
    expect(parse({ ip4 }, "0.2.0")).toEqual({ ips: [{ address: "10.1.0.5/16" }] });
    expect(parse({ cniVersion: "", ip4 }, "1.0.0")).toEqual({ ip4 });
    expect(parse({ CNIVersion: "0.1.0", ip4 }, "1.0.0")).toEqual({ ips: [{ address: "10.1.0.5/16" }] });
  });

  test("takes null and {} as empty results", () => {
    expect(parse(null)).toEqual({});
    expect(parse({})).toEqual({});
  });

  test.each([
    [{ cniVersion: "7.0.0" }, 'unsupported CNI result version "7.0.0"'],
    [{ cniVersion: 1 }, "unsupported CNI result version 1"],
    [[], "must be an object, not []"],
    [{ ips: {} }, '"ips" must be an array, not an object'],
    [{ ips: [{}] }, '"ips[0].address" is missing'],
    [{ ips: [{ address: "10.0.0.5" }] }, 'invalid CIDR address: "10.0.0.5"'],
    [{ ips: [{ address: "10.0.0.5/32", gateway: "x" }] }, 'invalid IP address: "x"'],
    [{ ips: [{ address: "10.0.0.5/32", interface: "0" }] }, '"ips[0].interface" must be an integer, not "0"'],
    [{ routes: [{ dst: "default" }] }, 'invalid CIDR address: "default"'],
    [{ cniVersion: "0.2.0", ip4: { ip: 5 } }, '"ip4.ip" must be a string, not 5'],
  ])("refuses %j", (value, reason) => {
    expect(() => parse(value)).toThrow(
      expect.objectContaining({ code: 6, message: `cannot parse prevResult: ${reason}` }),
    );
  });
});

describe("parseResult() undoes resultAs()", () => {
  const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length }).map(formatAddress);
  const text = fc.constantFrom("a", "b");
  const optional = { requiredKeys: [] };
  const v4 = fc.tuple(bytes(4), fc.nat(32)).map(([address, length]) => `${address}/${length}`);
  const v6 = fc.tuple(bytes(16), fc.nat(128)).map(([address, length]) => `${address}/${length}`);
  const routes = (dst: fc.Arbitrary<string>) =>
    fc.array(fc.record({ dst, gw: bytes(4), mtu: fc.nat(9000), "x-key": text }, { requiredKeys: ["dst"] }), {
      maxLength: 3,
    });
  const dns = fc.record({ nameservers: fc.array(text, { minLength: 1 }), domain: text }, optional);

  const rich = fc
    .record({
      interfaces: fc.array(
        fc.record(
          { name: text, mac: text, mtu: fc.integer({ min: 1, max: 9000 }), sandbox: text, "x-key": text },
          { requiredKeys: ["name"] },
        ),
      ),
      ips: fc.array(
        fc.record(
          { address: fc.oneof(v4, v6), gateway: bytes(4), interface: fc.nat(3), "x-key": text },
          { requiredKeys: ["address"] },
        ),
      ),
      routes: routes(fc.oneof(v4, v6)),
      dns,
      "x-key": text,
    })
    .map(normal);
  /** The part of a result that 0.2.0 can express: one address per family, no interfaces, routes sorted by family. */
  const poor = fc
    .record({ four: fc.option(v4), six: v6, routes4: routes(v4), routes6: routes(v6), dns })
    .map(({ four, six, routes4, routes6, dns }) =>
      normal({
        ips: [...(four === null ? [] : [{ address: four }]), { address: six }],
        routes: [...(four === null ? [] : routes4), ...routes6],
        dns,
      }),
    );

  test.each(supportedVersions)("in %s", (version) => {
    const oldest = version < "0.3.0";
    fc.assert(
      fc.property(oldest ? poor : rich, (result) => {
        const printed = JSON.parse(JSON.stringify(resultAs(result, version)));
        expect(printed.cniVersion).toBe(version);
        expect(normal(parseResult(printed, "1.1.0", "it"))).toEqual(version < "1.0.0" ? withoutMtu(result) : result);
      }),
    );
  });

  function withoutMtu(result: Result): Result {
    return {
      ...result,
      ...(result.interfaces && { interfaces: result.interfaces.map(({ mtu: _, ...rest }) => rest) }),
    };
  }

  /** Without empty values, which no version prints. */
  function normal(result: Result): Result {
    const empty = (value: unknown) => typeof value === "object" && value !== null && Object.keys(value).length === 0;
    return Object.fromEntries(Object.entries(result).filter(([, value]) => !empty(value)));
  }
});

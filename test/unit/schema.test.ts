import { Ajv2020 } from "ajv/dist/2020.js";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { tableOf } from "../../scripts/validators.ts";
import { confParser, validator } from "../../src/cni/conf.ts";
import { foldKeys } from "../../src/cni/keys.ts";
import { faultOf } from "../../src/schema/schema.ts";
import { howMany } from "../lib/how-many.ts";

/** Every feature that plugins' schemas use, once. */
const schema = z.object({
  mtu: z.int().min(0).max(65535).optional(),
  markMasqBit: z.int().positive().lt(32).optional(),
  backend: z.enum(["iptables", "nftables"]).optional(),
  assign_ipv4: z.union([z.boolean(), z.enum(["true", "false"])]).optional(),
  nodename: z
    .string()
    .regex(/^[a-z]/)
    .optional(),
  ratio: z.number().optional(),
  ipam: z.looseObject({ type: z.string().min(1) }).describe("the IPAM plugin"),
  runtimeConfig: z
    .looseObject({
      portMappings: z
        .array(z.looseObject({ hostPort: z.int().min(1), protocol: z.literal("tcp").optional() }))
        .max(2)
        .optional(),
      aliases: z.record(z.string(), z.array(z.string())).optional(),
    })
    .optional(),
});
const table = tableOf(schema, "example");
const ipam = { type: "calico-ipam" };

describe("confParser()", () => {
  const parse = confParser<z.infer<typeof schema>>(validator(table));

  test.each([
    [{ ipam, mtu: "1500" }, '"mtu" must be an integer, not "1500"'],
    [{ ipam, mtu: 1.5 }, '"mtu" must be an integer, not 1.5'],
    [{ ipam, mtu: -1 }, '"mtu" must be 0 or more, not -1'],
    [{ ipam, mtu: 65536 }, '"mtu" must be 65535 or less, not 65536'],
    [{ ipam, mtu: 2 ** 60 }, '"mtu" must be an integer, not 1152921504606847000'],
    [{ ipam, markMasqBit: 0 }, '"markMasqBit" must be 1 or more, not 0'],
    [{ ipam, markMasqBit: 32 }, '"markMasqBit" must be 31 or less, not 32'],
    [{ ipam, backend: "ipvs" }, '"backend" must be "iptables" or "nftables", not "ipvs"'],
    [{ ipam, assign_ipv4: "yes" }, '"assign_ipv4" must be a boolean or "true" or "false", not "yes"'],
    [{ ipam, nodename: "1" }, '"nodename" must be like ^[a-z], not "1"'],
    [{}, '"ipam" is missing'],
    [{ ipam: null }, '"ipam" is missing'],
    [{ ipam: {} }, '"ipam.type" is missing'],
    [{ ipam: { type: "" } }, '"ipam.type" must not be empty'],
    [{ ipam: [] }, '"ipam" must be an object, not []'],
    [{ ipam, ratio: { a: 1 } }, '"ratio" must be a number, not an object'],
    [
      { ipam, runtimeConfig: { portMappings: [{ HostPort: 0 }] } },
      '"runtimeConfig.portMappings[0].hostPort" must be 1 or more, not 0',
    ],
    [{ ipam, runtimeConfig: { portMappings: [null] } }, '"runtimeConfig.portMappings[0]" must be an object, not null'],
    [{ ipam, runtimeConfig: { aliases: { net: "a" } } }, '"runtimeConfig.aliases.net" must be an array, not "a"'],
    ["x", 'must be an object, not "x"'],
  ])("refuses %j", (document, fault) => {
    expect(() => parse(document)).toThrow(
      expect.objectContaining({ code: 7, message: `cannot parse the configuration: ${fault}` }),
    );
  });

  test("respells known keys, drops null, keeps unknown keys", () => {
    const conf = parse({
      ipam: { Type: "x", Subnet: null },
      MTU: 1400,
      nodename: null,
      RuntimeConfig: { portMappings: [{ HostPort: 80, HostIP: "" }] },
      zzz: { A: null },
    });
    expect(conf).toEqual({
      ipam: { type: "x", Subnet: null },
      mtu: 1400,
      runtimeConfig: { portMappings: [{ hostPort: 80, HostIP: "" }] },
      zzz: { A: null },
    });
  });
});

describe("faultOf()", () => {
  /** Values built from the schema's own words, valid and invalid. */
  const leaf = fc.constantFrom<unknown>(
    0,
    1,
    31,
    32,
    80,
    65536,
    -1,
    1.5,
    true,
    false,
    "true",
    "tcp",
    "iptables",
    "abc",
    "1",
    "",
    [],
    {},
    ["a"],
    [1],
  );
  const mostly = (...right: readonly unknown[]) =>
    fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...right) }, { weight: 1, arbitrary: leaf });
  const object = (keys: Record<string, fc.Arbitrary<unknown>>) =>
    fc.oneof({ weight: 19, arbitrary: fc.record(keys, { requiredKeys: [] }) }, { weight: 1, arbitrary: leaf });
  const mapping = object({ hostPort: mostly(1, 80), protocol: mostly("tcp"), other: leaf });
  const documents = object({
    mtu: mostly(0, 1, 80),
    markMasqBit: mostly(1, 31),
    backend: mostly("iptables"),
    assign_ipv4: mostly(true, false, "true"),
    nodename: mostly("abc"),
    ratio: mostly(1.5, -1),
    ipam: mostly(ipam, ipam, {}),
    runtimeConfig: object({
      portMappings: fc.array(mapping, { maxLength: 3 }),
      aliases: object({ net: mostly([], ["a"]) }),
    }),
    unknown: leaf,
  });

  test("finds a fault exactly where Ajv does", () => {
    const ajv = new Ajv2020({ strict: false }).compile(z.toJSONSchema(schema, { io: "input" }));
    let valid = 0;
    fc.assert(
      fc.property(documents, (document) => {
        const expected = ajv(document);
        if (expected) valid++;
        expect(faultOf(table, document) === undefined).toBe(expected);
      }),
      { numRuns: howMany(5000) },
    );
    expect(valid).toBeGreaterThan(howMany(100));
  });
});

describe("foldKeys()", () => {
  const names = { properties: { hostPort: {}, cniVersion: {} } };

  test.each([
    ["another case", { HostPort: 1, CNIVERSION: "x" }, { hostPort: 1, cniVersion: "x" }],
    ["the last duplicate", { hostPort: 1, HOSTPORT: 2 }, { hostPort: 2 }],
    ["the last duplicate that is not null", { hostPort: 1, HOSTPORT: null }, { hostPort: 1 }],
    ["keys of Object.prototype", { constructor: 1, toString: 2 }, { constructor: 1, toString: 2 }],
  ])("takes %s", (_, document, expected) => expect(foldKeys(names, document)).toEqual(expected));

  test("drops a key named __proto__, and does not obey it", () => {
    const folded = foldKeys(names, JSON.parse('{"__proto__":{"hostPort":1},"a":1}')) as Record<string, unknown>;
    expect(folded.hostPort).toBeUndefined();
    expect(JSON.stringify(folded)).toBe('{"a":1}');
  });

  test("leaves the original as it was", () => {
    const document = { HostPort: 1 };
    foldKeys(names, document);
    expect(document).toEqual({ HostPort: 1 });
  });
});

describe("tableOf()", () => {
  test.each([
    ["strict objects", z.strictObject({})],
    ["multiples", z.object({ a: z.int().multipleOf(3) })],
  ])("refuses %s, which the interpreter does not know", (_, unsupported) => {
    expect(() => tableOf(unsupported, "example")).toThrow("cannot generate the validator of example");
  });

  test("keeps nothing that is for people or goes without saying", () => {
    expect(tableOf(z.object({ a: z.int().optional().describe("text") }), "x")).toEqual({
      type: "object",
      properties: { a: { type: "integer" } },
    });
  });
});

/** Reports of the kernel (Linux 6.18), decoded by the codec. */
import { expect, test } from "vitest";
import { MalformedError } from "../../../src/netlink/codec/attribute.ts";
import { readFilter } from "../../../src/netlink/filter.ts";
import type { Reply } from "../../../src/netlink/message.ts";
import { readQdisc, TC_H_INGRESS, TC_H_ROOT } from "../../../src/netlink/qdisc.ts";
import { readRoute } from "../../../src/netlink/route.ts";
import { unhex } from "./hex.ts";

function reply(payload: string): Reply {
  return { type: 0, flags: 2, sequence: 1, payload: unhex(payload) };
}

test("readQdisc() reads the kernel's token bucket", () => {
  const bytes = `00000000 02000000 00000100 ffffffff 03000000 0800 0100 74626600
    2c00 0200 2800 0100 00010000 00000000 48e80100 00000000 00000000 00000000 7df40100 286bee00 00000000 0500 0c00 00000000`;
  expect(readQdisc(reply(bytes))).toEqual({
    index: 2,
    kind: "tbf",
    parent: TC_H_ROOT,
    tokenBucket: { rateBytes: 125_000, limitBytes: 128_125, bufferTicks: 15_625_000 },
  });
});

test("readQdisc() reads a rate above 2^32 from its own attribute", () => {
  const bytes = `00000000 03000000 00000100 ffffffff 02000000 0800 0100 74626600
    3800 0200 2800 0100 00010000 00000000 ffffffff 00000000 00000000 00000000 ffffffff aaaaaa00 00000000
    0c00 0400 00bca06501000000 0500 0c00 00000000`;
  expect(readQdisc(reply(bytes)).tokenBucket?.rateBytes).toBe(6e9);
});

test("readQdisc() reads the ingress hook", () => {
  const bytes = "00000000 02000000 0000ffff f1ffffff 01000000 0c00 0100 696e677265737300 0400 0200 0500 0c00 00000000";
  expect(readQdisc(reply(bytes))).toEqual({ index: 2, kind: "ingress", parent: TC_H_INGRESS, tokenBucket: undefined });
});

test("readFilter() finds where a mirred action redirects to", () => {
  const bytes = `00000000 02000000 00080080 0000ffff 00030100 0800 0100 75333200 0800 0b00 00000000
    e800 0200 2400 0500 01000100 00000000 00000000 00000000 00000000 00000000 00000000 00080000
    0800 0200 00000080 0800 0100 01000100 0800 0b00 08000000
    a800 0700 a400 0100 0b00 0100 6d697272656400 00
    4400 0400 1400 0100 9400000000000000 0200000000000000 1400 0700 00000000000000000000000000000000
    1800 0300 0000000000000000000000000000000000000000 0800 0a00 00000000
    4800 0200 2000 0200 02000000 00000000 04000000 01000000 01000000 01000000 03000000
    2400 0100 0400000000000000 0200000000000000 0000000000000000 0200000000000000`;
  expect(readFilter(reply(bytes))).toEqual({ index: 2, kind: "u32", redirectsTo: 3 });
});

test("readFilter() finds no redirect in u32's hash table", () => {
  const bytes = `00000000 02000000 00000080 0000ffff 00030100 0800 0100 75333200 0800 0b00 00000000
    0c00 0200 0800 0400 01000000`;
  expect(readFilter(reply(bytes)).redirectsTo).toBeUndefined();
});

test("readRoute() reads a host route", () => {
  const bytes = "02200000 fe03 fd01 00000000 0800 0f00 fe000000 0800 0100 0a000005 0800 0400 02000000";
  expect(readRoute(reply(bytes))).toEqual([
    {
      destination: "10.0.0.5/32",
      index: 2,
      gateway: undefined,
      scope: 253,
      table: 254,
      source: undefined,
      priority: undefined,
      mtu: undefined,
      advmss: undefined,
      protocol: 3,
      onlink: false,
      type: 1,
    },
  ]);
});

test("readRoute() passes over what is no unicast route", () => {
  const local =
    "02200000 ff02 fe02 00000000 0800 0f00 ff000000 0800 0100 7f000001 0800 0700 7f000001 0800 0400 01000000";
  expect(readRoute(reply(local))).toEqual([]);
});

/** As `ip -6 route show default` of Linux 6.18 reads it: `nexthop via fe80::1 dev #2 weight 1`, `nexthop via fd78::1 dev #3 weight 1`. */
const multipath = `0a000000 fe03 0001 00000000 0800 0f00 fe000000 0800 0600 00040000
  3c00 0900 1c00 0000 02000000 1400 0500 fe800000000000000000000000000001 1c00 0000 03000000 1400 0500 fd780000000000000000000000000001`;

test("readRoute() reads each next hop of a route that has several", () => {
  const found = readRoute(reply(multipath));
  expect(found.map(({ destination, index, gateway, priority }) => [destination, index, gateway, priority])).toEqual([
    ["::/0", 2, "fe80::1", 1024],
    ["::/0", 3, "fd78::1", 1024],
  ]);
});

test.each([
  ["none", "0000 0000"],
  ["more than is left", "ff00 0000"],
])("readRoute() refuses a next hop whose length is %s", (_, length) => {
  const damaged = multipath.replace("1c00 0000 03000000", `${length} 03000000`);
  expect(() => readRoute(reply(damaged))).toThrow(MalformedError);
});

import { describe, expect, test } from "vitest";
import { compileConditions } from "../../../plugins/portmap/conditions.ts";
import { parseConf } from "../../../plugins/portmap/conf.ts";
import { document, type Port, web } from "./world.ts";

describe("parseConf()", () => {
  test("fills in the defaults", () => {
    expect(parseConf(document([]))).toMatchObject({
      backend: "nftables",
      snat: true,
      masqAll: false,
      markMasqBit: 13,
      mappings: [],
    });
  });

  test("takes containerd's spelling of keys, and no address for all addresses", () => {
    const mappings = [{ HostPort: 8080, ContainerPort: 80, Protocol: "TCP", HostIP: "" }];
    expect(parseConf({ runtimeConfig: { portMappings: mappings } }).mappings).toEqual([
      { protocol: "tcp", hostPort: 8080, containerPort: 80, hostIp: undefined, families: ["ip", "ip6"] },
    ]);
  });

  test.each([
    ["0.0.0.0", undefined, ["ip"]],
    ["::", undefined, ["ip6"]],
    ["192.0.2.1", "192.0.2.1", ["ip"]],
    ["2001:DB8::0:1", "2001:db8::1", ["ip6"]],
  ])("hostIP %s is %s of %j", (hostIP, hostIp, families) => {
    expect(parseConf(document([{ ...web, hostIP }])).mappings).toMatchObject([{ hostIp, families }]);
  });

  test("a mapping that is written twice counts once", () => {
    expect(parseConf(document([web, { ...web, protocol: "TCP" }])).mappings).toHaveLength(1);
  });

  test.each<[string, Partial<Record<keyof Port, unknown>>, RegExp]>([
    ["host port 0", { hostPort: 0 }, /hostPort/],
    ["host port 65536", { hostPort: 65536 }, /hostPort/],
    ["host port -1", { hostPort: -1 }, /hostPort/],
    ["a host port as text", { hostPort: "80" }, /hostPort/],
    ["container port 0", { containerPort: 0 }, /containerPort/],
    ["no protocol", { protocol: undefined }, /protocol/],
    ["an unknown protocol", { protocol: "icmp" }, /protocol is "icmp", wanted tcp, udp or sctp/],
    ["a hostIP that is none", { hostIP: "foo" }, /cannot map host port 8080\/tcp: hostIP is "foo", wanted an address/],
  ])("refuses %s", (_, change, message) => {
    const written = JSON.parse(JSON.stringify(document([{ ...web, ...change } as Port])));
    expect(() => parseConf(written)).toThrow(message);
  });

  test("refuses two targets for one host port", () => {
    expect(() => parseConf(document([web, { ...web, containerPort: 81 }]))).toThrow(
      "cannot map host port 8080/tcp to 81: it is mapped to 80 already",
    );
  });

  test.each<[object, string]>([
    [{ backend: "xyz" }, 'unrecognized backend "xyz"'],
    [{ markMasqBit: 32, backend: "iptables" }, "MasqMarkBit must be between 0 and 31"],
    [
      { markMasqBit: 5, externalSetMarkChain: "X", backend: "iptables" },
      "Cannot specify externalSetMarkChain and markMasqBit",
    ],
    [
      {
        backend: "nftables",
        externalSetMarkChain: "X",
        conditionsV4: ["-s", "192.0.2.9"],
        conditionsV6: ["!", "-s", "2001:db8::1"],
      },
      "nftables backend was requested but configuration contains iptables-specific options [externalSetMarkChain conditionsV4 conditionsV6]",
    ],
    [
      { backend: "iptables", conditionsV4: ["ip", "saddr", "192.0.2.9"] },
      "iptables backend was requested but configuration contains nftables-specific options [conditionsV4]",
    ],
  ])("refuses %j", (extra, message) => {
    expect(() => parseConf(document([], extra))).toThrow(message);
  });

  test.each<[object, string]>([
    [{}, "nftables"],
    [{ externalSetMarkChain: "X" }, "iptables"],
    [{ markMasqBit: 14 }, "iptables"],
    [{ conditionsV4: ["!", "-d", "192.0.2.9"] }, "iptables"],
    [{ conditionsV6: ["-d", "2001:db8::1"], conditionsV4: [] }, "iptables"],
    [{ conditionsV4: ["ip saddr 192.0.2.9"], markMasqBit: 14 }, "nftables"],
    [{ backend: "nftables", markMasqBit: 14 }, "nftables"],
    [{ backend: "iptables" }, "iptables"],
  ])("chooses for %j the back end that its options are for: %s", (extra, backend) => {
    expect(parseConf(document([web], extra)).backend).toBe(backend);
  });

  test("refuses options of both without a backend, and names them", () => {
    const extra = {
      externalSetMarkChain: "X",
      conditionsV4: ["ip saddr 192.0.2.9"],
      conditionsV6: ["-d", "2001:db8::1"],
    };
    expect(() => parseConf(document([], extra))).toThrow(
      "cannot choose a backend: configuration contains nftables-specific options [conditionsV4] and iptables-specific options [externalSetMarkChain conditionsV6]; remove one kind",
    );
  });
});

describe("compileConditions()", () => {
  test.each([
    ["ip saddr != 192.0.2.9", [{ match: "ip saddr", op: "!=", value: "192.0.2.9" }]],
    ["ip daddr 10.1.2.3/8", [{ match: "ip daddr", op: "==", value: "10.0.0.0/8" }]],
    [
      'iifname "eth0" mark 0x10',
      [
        { match: "iifname", op: "==", value: "eth0" },
        { match: "meta mark", op: "==", value: "16" },
      ],
    ],
    [
      "tcp dport != 80-90",
      [
        { match: "meta l4proto", op: "==", value: "tcp" },
        { match: "th dport", op: "!=", value: "80-90" },
      ],
    ],
  ])("reads %s", (text, matches) => {
    expect(compileConditions("ip", [text])).toEqual(matches);
    expect(compileConditions("ip", text.split(" "))).toEqual(matches);
  });

  test.each([
    "ct state new",
    "ip saddr { 10.0.0.1, 10.0.0.2 }",
    "ip6 saddr ::1",
    "tcp dport 70000",
    "ip saddr",
    "counter",
  ])("refuses %s by name", (text) => {
    expect(() => compileConditions("ip", [text])).toThrow(
      /^cannot use condition ".+": not one .*; use backend "iptables"$/,
    );
  });
});

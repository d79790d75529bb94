import { describe, expect, test } from "vitest";
import { chooseAddress, type Facts, type NodeInterface, withNetwork } from "../../../src/agent/address/choose.ts";
import { type Method, parseMethod } from "../../../src/agent/address/method.ts";
import { routesIn } from "../../../src/agent/address/pool-context.ts";

/** By index. */
const interfaces: readonly NodeInterface[] = [
  { name: "lo", addresses: ["127.0.0.1/8", "::1/128"] },
  { name: "eth0", addresses: ["192.0.2.10/24", "2001:db8::10/64", "fe80::1/64"] },
  { name: "eth1", addresses: ["169.254.7.7/16", "198.51.100.10/25", "fe80::2/64"] },
  { name: "docker0", addresses: ["172.17.0.1/16"] },
  { name: "cali0123456789a", addresses: ["fe80::3/64"] },
  { name: "vxlan.calico", addresses: ["10.0.0.64/32"] },
];

function choose(text: string, family: 4 | 6 = 4, facts: Partial<Facts> = {}): string | undefined {
  return chooseAddress(parseMethod(text) as Method, family, { interfaces, ...facts });
}

describe("parseMethod()", () => {
  test.each([
    "",
    "first",
    "first-found=eth0",
    "can-reach",
    "can-reach=",
    "interface=",
    "interface=eth(",
    "skip-interface",
    "cidr=10.0.0.0",
    "cidr=10.0.0.0/8,nonsense",
    "kubernetes-internal-ip=1",
  ])("%j is none, and it says what is wanted", (text) => {
    expect(parseMethod(text)).toEqual({ wanted: expect.any(String) });
  });

  test("lists have white space around their commas", () => {
    expect(parseMethod("cidr=10.1.2.3/8 , fd00::1/8")).toEqual({ kind: "cidr", cidrs: ["10.0.0.0/8", "fd00::/8"] });
    expect(parseMethod("interface=eth.* ,en")).toEqual({ kind: "interface", names: [/eth.*/, /en/] });
  });
});

describe("chooseAddress()", () => {
  test.each([
    ["first-found", 4, "198.51.100.10/25"],
    ["first-found", 6, "2001:db8::10/64"],
    ["interface=eth0", 4, "192.0.2.10/24"],
    ["interface=^e,docker.*", 4, "172.17.0.1/16"],
    ["interface=eth1", 6, undefined],
    ["interface=lo", 4, undefined],
    ["interface=vxlan", 4, "10.0.0.64/32"],
    ["skip-interface=eth1", 4, "192.0.2.10/24"],
    ["skip-interface=eth.*", 4, undefined],
    ["cidr=192.0.2.0/24", 4, "192.0.2.10/24"],
    ["cidr=2001:db8::/32,192.0.2.0/24", 6, "2001:db8::10/64"],
    // As in Calico, a CIDR is matched against the addresses of every interface.
    ["cidr=172.16.0.0/12", 4, "172.17.0.1/16"],
    ["cidr=203.0.113.0/24", 4, undefined],
  ] as const)("%s gives for IPv%i %s", (method, family, address) => {
    expect(choose(method, family)).toBe(address);
  });

  test("can-reach takes the address that packets leave with, with the length of its network", () => {
    expect(choose("can-reach=8.8.8.8", 4, { source: "192.0.2.10" })).toBe("192.0.2.10/24");
    expect(choose("can-reach=8.8.8.8", 4)).toBeUndefined();
  });

  test("kubernetes-internal-ip takes the family's", () => {
    const internalAddresses = ["2001:0db8::0010", "192.0.2.10"];
    expect(choose("kubernetes-internal-ip", 4, { internalAddresses })).toBe("192.0.2.10/24");
    expect(choose("kubernetes-internal-ip", 6, { internalAddresses })).toBe("2001:db8::10/64");
    expect(choose("kubernetes-internal-ip", 4)).toBeUndefined();
  });

  test("an address on no interface has a length of its own", () => {
    expect(withNetwork("203.0.113.1", interfaces)).toBe("203.0.113.1/32");
    expect(withNetwork("2001:db8::11", interfaces)).toBe("2001:db8::11/128");
  });
});

test("routesIn() reads the kernel's output in host byte order", () => {
  const text = [
    "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT",
    "eth0\t00000000\t010200C0\t0003\t0\t0\t100\t00000000\t0\t0\t0",
    "eth0\t000200C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0",
    "eth1\t006433C6\t00000000\t0001\t0\t0\t0\t80FFFFFF\t0\t0\t0",
    "",
  ].join("\n");
  expect(routesIn(text)).toEqual([
    { destination: "0.0.0.0/0", gateway: "192.0.2.1" },
    { destination: "192.0.2.0/24", gateway: undefined },
    { destination: "198.51.100.0/25", gateway: undefined },
  ]);
});

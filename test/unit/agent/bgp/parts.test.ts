import { describe, expect, it } from "vitest";
import { parseReply } from "../../../../src/agent/bgp/control.ts";
import { filterFunction } from "../../../../src/agent/bgp/filter.ts";
import { asNumber, bgpConfigurationSchema, bgpPeerSchema } from "../../../../src/agent/bgp/resources.ts";
import { routerIdOf } from "../../../../src/agent/bgp/router-id.ts";
import { servicePrefixes } from "../../../../src/agent/bgp/services.ts";
import { parseEndpoint } from "../../../../src/agent/bgp/sessions.ts";
import { parseSessions } from "../../../../src/agent/bgp/status.ts";
import { dualNode, snapshot } from "./snapshots.ts";

describe("asNumber", () => {
  it.each([
    [64_512, 64_512],
    ["64512", 64_512],
    ["1.10", 65_546],
    [4_294_967_295, 4_294_967_295],
  ])("reads %s", (value, number) => expect(asNumber.parse(value)).toBe(number));

  it.each([0, -1, 4_294_967_296, "65536.0.1", "x", 1.5, "70000.70000"])("refuses %s", (value) => {
    expect(asNumber.safeParse(value).success).toBe(false);
  });
});

describe("bgpPeerSchema", () => {
  it.each([
    ["90s", 90],
    ["2m", 120],
    ["1h2m3s", 3723],
  ])("reads the duration %s", (text, seconds) => {
    expect(bgpPeerSchema.parse({ maxRestartTime: text }).maxRestartTime).toBe(seconds);
  });

  it.each(["", "90", "m", "1s2m"])("refuses the duration %j", (text) => {
    expect(bgpPeerSchema.safeParse({ maxRestartTime: text }).success).toBe(false);
  });
});

describe("bgpConfigurationSchema", () => {
  it("refuses what would end a string of BIRD's", () => {
    expect(bgpConfigurationSchema.safeParse({ ignoredInterfaces: ['x"; }'] }).success).toBe(false);
    expect(bgpConfigurationSchema.safeParse({ communities: [{ name: "a", value: "1:2); reject; (" }] }).success).toBe(
      false,
    );
  });

  it("clears host bits", () => {
    expect(bgpConfigurationSchema.parse({ serviceClusterIPs: [{ cidr: "10.96.0.1/12" }] }).serviceClusterIPs).toEqual([
      { cidr: "10.96.0.0/12" },
    ]);
  });
});

describe("parseEndpoint", () => {
  it.each([
    ["192.0.2.1", { address: "192.0.2.1" }],
    ["192.0.2.1:1790", { address: "192.0.2.1", port: 1790 }],
    ["2001:DB8::1", { address: "2001:db8::1" }],
    ["[2001:db8::1]:1790", { address: "2001:db8::1", port: 1790 }],
    ["192.0.2.1:0", undefined],
    ["192.0.2.1:70000", undefined],
    ["[192.0.2.1:1", undefined],
    ["tor.example", undefined],
  ])("reads %s", (text, endpoint) => expect(parseEndpoint(text)).toEqual(endpoint));
});

describe("filterFunction", () => {
  it("gives long names their own functions, within BIRD's 64 characters", () => {
    const [one, other] = ["a", "b"].map((end) => filterFunction(`${"x".repeat(250)}${end}`, "import", 4));
    expect(one).not.toBe(other);
    for (const name of [one, other]) expect(name?.length).toBeLessThanOrEqual(66);
  });
});

describe("routerIdOf", () => {
  it("is the node's IPv4 address, or a digest of its name that is never 0.0.0.0", () => {
    expect(routerIdOf(snapshot())).toBe("10.192.0.2");
    const nodes = [{ ...dualNode("kube-node-1", 2), addresses: { 6: "fd00::2/64" } }];
    expect(routerIdOf(snapshot({ nodes }))).toMatch(/^[1-9]\d*(\.\d+){3}$/);
    expect(routerIdOf(snapshot({ routerId: "hash" }))).toBe(routerIdOf(snapshot({ nodes })));
    expect(routerIdOf(snapshot({ routerId: "192.0.2.77" }))).toBe("192.0.2.77");
  });
});

describe("servicePrefixes", () => {
  const ranges = bgpConfigurationSchema.parse({
    serviceClusterIPs: [{ cidr: "10.96.0.0/12" }],
    serviceExternalIPs: [{ cidr: "198.51.100.0/24" }, { cidr: "10.96.0.0/12" }],
    serviceLoadBalancerIPs: [{ cidr: "203.0.113.0/24" }],
  });

  it("announces each range once", () => {
    expect(servicePrefixes(ranges, {})).toEqual(["10.96.0.0/12", "198.51.100.0/24", "203.0.113.0/24"]);
  });

  it("announces nothing on an excluded node or without a configuration", () => {
    expect(servicePrefixes(ranges, { "node.kubernetes.io/exclude-from-external-load-balancers": "" })).toEqual([]);
    expect(servicePrefixes(undefined, {})).toEqual([]);
  });
});

describe("parseReply", () => {
  it("waits for the last line, and keeps what follows", () => {
    const text = "0002-Reading configuration\n0003 Reconfigured\n0001 next\n";
    expect(parseReply("0002-Reading configuration\n0003 Recon")).toBeUndefined();
    const found = parseReply(text);
    expect(found?.reply).toEqual({ code: 3, text: "Reading configuration\nReconfigured" });
    expect(text.slice(found?.length)).toBe("0001 next\n");
  });

  it("joins lines that repeat the code", () => {
    expect(parseReply("1006-one\n two\n   three\n0000 \n")?.reply.text).toBe("one\ntwo\n  three\n");
  });
});

describe("parseSessions", () => {
  it("reads BIRD's table", () => {
    const text = `Name       Proto      Table      State  Since         Info
device1    Device     ---        up     01:02:03.123  
Mesh_10_0_0_2 BGP        ---        up     01:02:09.001  Established   
  BGP state:          Established
    Neighbor address: 10.0.0.2
    Neighbor AS:      64512
  Channel ipv4
    State:          UP

Node_fe80__9_port_1790 BGP        ---        start  2026-11-28 10:00:00  Active        Socket: Connection refused
  BGP state:          Active
    Neighbor address: fe80::9%eth0

`;
    expect(parseSessions(text)).toEqual([
      {
        ...{ neighbour: "10.0.0.2", family: 4, type: "node-to-node mesh" },
        ...{ state: "up", since: "01:02:09.001", info: "Established" },
      },
      {
        ...{ neighbour: "fe80::9", family: 6, type: "node specific" },
        ...{ state: "start", since: "2026-11-28 10:00:00", info: "Active        Socket: Connection refused" },
      },
    ]);
  });
});

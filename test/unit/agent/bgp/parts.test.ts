import { describe, expect, it } from "vitest";
import { parseReply } from "../../../../src/agent/bgp/control.ts";
import { filterFunction } from "../../../../src/agent/bgp/filter.ts";
import { asNumber, bgpConfigurationSchema, bgpPeerSchema } from "../../../../src/agent/bgp/resources.ts";
import { routerIdOf } from "../../../../src/agent/bgp/router-id.ts";
import { localServiceOf, serviceOf } from "../../../../src/agent/bgp/service.ts";
import { servicePrefixes } from "../../../../src/agent/bgp/services.ts";
import { parseEndpoint } from "../../../../src/agent/bgp/sessions.ts";
import { parseSessions } from "../../../../src/agent/bgp/status.ts";
import type { StoredObject } from "../../../../src/store/object.ts";
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
  const none = { services: [], local: new Set<string>() };
  const networks = {
    serviceClusterIPs: [{ cidr: "10.96.0.0/12" }, { cidr: "fd00:96::/108" }],
    serviceExternalIPs: [{ cidr: "198.51.100.0/24" }, { cidr: "10.96.0.0/12" }],
    serviceLoadBalancerIPs: [{ cidr: "203.0.113.0/24" }],
  };
  const ranges = bgpConfigurationSchema.parse(networks);
  const whole = ["10.96.0.0/12", "198.51.100.0/24", "203.0.113.0/24", "fd00:96::/108"];
  const excluded = { "node.kubernetes.io/exclude-from-external-load-balancers": "" };

  /** As the API server has it. */
  const web = (spec: object, ingress: readonly string[] = []): StoredObject =>
    ({
      ...{ apiVersion: "v1", kind: "Service", metadata: { namespace: "shop", name: "web" } },
      spec: { type: "LoadBalancer", clusterIP: "10.96.0.7", clusterIPs: ["10.96.0.7", "fd00:96::7"], ...spec },
      status: { loadBalancer: { ingress: ingress.map((ip) => ({ ip })) } },
    }) as unknown as StoredObject;
  const local = { externalTrafficPolicy: "Local", externalIPs: ["198.51.100.9", "192.0.2.9"] };
  const slice = (endpoints: readonly object[]): StoredObject =>
    ({
      ...{ apiVersion: "discovery.k8s.io/v1", kind: "EndpointSlice", spec: {} },
      metadata: { namespace: "shop", name: "web-x1", labels: { "kubernetes.io/service-name": "web" } },
      endpoints,
    }) as unknown as StoredObject;

  function announced(service: StoredObject, endpoints: readonly object[], configuration = ranges): readonly string[] {
    const services = [serviceOf(service)].filter((one) => one !== undefined);
    const here = [localServiceOf(slice(endpoints), "node-a")].filter((one) => one !== undefined);
    const all = servicePrefixes(configuration, {}, { services, local: new Set(here) });
    return all.filter((prefix) => !whole.includes(prefix));
  }

  it("announces each range once", () => {
    expect(servicePrefixes(ranges, {}, none)).toEqual(whole);
  });

  it("announces nothing on an excluded node or without a configuration", () => {
    expect(servicePrefixes(ranges, excluded, none)).toEqual([]);
    expect(servicePrefixes(undefined, {}, none)).toEqual([]);
  });

  const ready = { nodeName: "node-a", conditions: { ready: true } };

  it("announces the addresses of a local service where it has a ready endpoint, and none outside the ranges", () => {
    const own = ["10.96.0.7/32", "198.51.100.9/32", "203.0.113.5/32", "fd00:96::7/128"];
    const service = web(local, ["203.0.113.5", "192.0.2.5"]);
    expect(announced(service, [ready])).toEqual(own);
    expect(announced(service, [{ nodeName: "node-a" }])).toEqual(own);
    expect(announced(service, [{ ...ready, nodeName: "node-b" }])).toEqual([]);
    expect(announced(service, [{ ...ready, conditions: { ready: false } }])).toEqual([]);
    expect(announced(web({ ...local, type: "ClusterIP" }), [ready])).toEqual([]);
    expect(announced(web({ ...local, clusterIP: "None", clusterIPs: ["None"] }), [ready])).toEqual(["198.51.100.9/32"]);
  });

  it("announces no address of another service alone", () => {
    expect(announced(web({ externalTrafficPolicy: "Cluster" }, ["203.0.113.5"]), [ready])).toEqual([]);
  });

  it("announces load balancers one by one where they are not to be aggregated", () => {
    const single = bgpConfigurationSchema.parse({ ...networks, serviceLoadBalancerAggregation: "Disabled" });
    const service = web({ externalTrafficPolicy: "Cluster" }, ["203.0.113.5"]);
    expect(announced(service, [], single)).toEqual(["203.0.113.5/32"]);
    expect(servicePrefixes(single, {}, none)).not.toContain("203.0.113.0/24");
    expect(announced(web(local, ["203.0.113.5"]), [], single)).toEqual([]);
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

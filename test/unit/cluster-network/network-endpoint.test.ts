import { describe, expect, test } from "vitest";
import { networkEndpointOf } from "../../../src/cluster-network/network-endpoint.ts";
import type { StoredObject } from "../../../src/store/object.ts";
import { web } from "../agent/network/cluster.ts";

describe("networkEndpointOf()", () => {
  const annotation = "cni.projectcalico.org/floatingIPs";
  const spec = { node: "a", pod: "web", interfaceName: "cali1", ipNetworks: ["10.0.0.5/32", "fd00::5/128"] };
  const endpoint = (more: object, annotations = {}): StoredObject => ({
    apiVersion: "projectcalico.org/v3",
    kind: "WorkloadEndpoint",
    metadata: { name: "a-k8s-web-eth0", namespace: "default", annotations },
    spec: { ...spec, ...more },
  });

  test("takes what is recorded", () => {
    const ipNATs = [
      { internalIP: "10.0.0.5", externalIP: "198.51.100.5" },
      { internalIP: "fd00::5", externalIP: "2001:DB8:0::5" },
      { internalIP: "10.0.0.5", externalIP: "2001:db8::6" },
      { internalIP: "10.0.0.5" },
      null,
    ];
    expect(networkEndpointOf(endpoint({ ipNATs }), "a")).toEqual(web);
    expect(networkEndpointOf(endpoint({ ipNATs }), "b")).toBeUndefined();
  });

  test("takes the annotation of a pod: each leads to the address of its family", () => {
    const annotations = { [annotation]: '["198.51.100.5", "2001:db8::5", "no address", 7]' };
    expect(networkEndpointOf(endpoint({}, annotations), "a")).toEqual(web);
    const onlyIpv4 = networkEndpointOf(endpoint({ ipNetworks: ["10.0.0.5/32"] }, annotations), "a");
    expect(onlyIpv4?.nats).toEqual([{ external: "198.51.100.5", internal: "10.0.0.5" }]);
    expect(networkEndpointOf(endpoint({ ipNetworks: undefined }, annotations), "a")).toBeUndefined();
  });

  test.each(["", "198.51.100.5", "{}", "null", '[{"ip": "198.51.100.5"}]'])("ignores the annotation %j", (text) => {
    expect(networkEndpointOf(endpoint({}, { [annotation]: text }), "a")).toBeUndefined();
  });

  test("takes the networks from which a pod may send, as recorded or annotated", () => {
    const name = "cni.projectcalico.org/allowedSourcePrefixes";
    const sources = ["10.9.0.0/16", "fd09::/48"];
    const recorded = { allowSpoofedSourcePrefixes: ["10.9.1.2/16", "FD09::/48", "10.9.0.0/16", "none", null] };
    expect(networkEndpointOf(endpoint(recorded), "a")).toMatchObject({ nats: [], sources });
    const annotations = { [name]: JSON.stringify(sources) };
    expect(networkEndpointOf(endpoint({}, annotations), "a")).toMatchObject({ nats: [], sources });
  });
});

import { describe, expect, test } from "vitest";
import { clusterAnnotations, natsOf } from "../../../plugins/calico/cluster-annotations.ts";
import { parseConf } from "../../../plugins/calico/conf.ts";

const features = { ip_addrs_no_ipam: true, floating_ips: true };
const ofPod = { K8S_POD_NAMESPACE: "shop", K8S_POD_NAME: "web-0" };

function read(annotations: Readonly<Record<string, string>>, more: object = {}, ifname = "eth0", args: object = ofPod) {
  const own = Object.entries(annotations).map(([name, value]) => [`cni.projectcalico.org/${name}`, value]);
  const document = {
    ...{ name: "net", type: "calico", cniVersion: "1.0.0", datastore_type: "kubernetes", feature_control: features },
    ...{ ipam: { type: "calico-ipam" } },
    runtimeConfig: { "io.kubernetes.cri.pod-annotations": Object.fromEntries(own) },
    ...more,
  };
  const attachment = { network: "net", containerId: "c1", ifname };
  return clusterAnnotations({ attachment, args: { ...args }, conf: parseConf(document), document });
}

describe("clusterAnnotations()", () => {
  test("gives the addresses of ipAddrsNoIpam, one of each family", () => {
    expect(read({ ipAddrsNoIpam: '["80.90.100.200","FD00::0:7"]' }).withoutIpam).toEqual({
      ips: [{ address: "80.90.100.200/32" }, { address: "fd00::7/128" }],
    });
  });

  test("gives floating IPs and allowed sources, canonical", () => {
    expect(read({ floatingIPs: '["172.31.250.113"]', allowedSourcePrefixes: '["10.1.2.3/8","FD00::/64"]' })).toEqual({
      floatingIps: ["172.31.250.113"],
      allowedSources: ["10.0.0.0/8", "fd00::/64"],
    });
  });

  test("gives nothing for other interfaces of the pod, and without a cluster", () => {
    const nothing = { floatingIps: [], allowedSources: [] };
    expect(read({ ipAddrsNoIpam: '["10.0.0.7"]' }, {}, "net1")).toEqual(nothing);
    expect(read({ allowedSourcePrefixes: '["10.0.0.0/8"]' }, { datastore_type: "file", feature_control: {} })).toEqual(
      nothing,
    );
    expect(read({})).toEqual(nothing);
  });

  const both = { ipAddrs: '["10.0.0.7"]', ipAddrsNoIpam: '["10.0.0.7"]' };
  test.each([
    [both, {}, 7, 'the pod has annotation "ipAddrs" too'],
    [{ ipAddrsNoIpam: '["10.0.0.7"]' }, { ipam: { type: "host-local" } }, 7, 'not "host-local"'],
    [{ ipAddrsNoIpam: '["10.0.0.7","10.0.0.8"]' }, {}, 7, "want one address of each family at most"],
    [{ ipAddrsNoIpam: "[]" }, {}, 7, "must be a JSON list of strings"],
    [{ ipAddrsNoIpam: '["x"]' }, {}, 7, "not an IP address"],
    [{ floatingIPs: '["10.0.0.0/24"]' }, {}, 7, "not an IP address"],
    [{ allowedSourcePrefixes: '["x"]' }, {}, 7, "not a CIDR"],
    [{ ipAddrsNoIpam: '["10.0.0.7"]' }, { feature_control: {} }, 2, 'set "feature_control.ip_addrs_no_ipam" to true'],
    [
      { floatingIPs: '["10.0.0.7"]' },
      { feature_control: { ip_addrs_no_ipam: true } },
      2,
      'set "feature_control.floating_ips" to true',
    ],
  ])("refuses %j with %j", (annotations, more, code, text) => {
    expect(() => read(annotations, more)).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining(text) }),
    );
  });

  test("refuses addresses without IPAM for containers without a pod", () => {
    expect(() => read({}, {}, "eth0", {})).toThrow("only pods of Kubernetes can have addresses without IPAM");
  });
});

describe("natsOf()", () => {
  const addresses = ["10.0.0.5/32", "fd00::5/128"];

  test("leads each floating IP to the pod's address of its family", () => {
    expect(natsOf(["2001:db8::1", "172.31.250.113"], addresses)).toEqual([
      { internalIP: "fd00::5", externalIP: "2001:db8::1" },
      { internalIP: "10.0.0.5", externalIP: "172.31.250.113" },
    ]);
  });

  test("refuses a family that the pod does not have", () => {
    expect(() => natsOf(["2001:db8::1"], ["10.0.0.5/32"])).toThrow("the pod has no IPv6 address");
  });
});

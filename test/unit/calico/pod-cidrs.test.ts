import { describe, expect, test } from "vitest";
import { withAnyPodCidrs, withPodCidrs } from "../../../plugins/calico/pod-cidrs.ts";
import type { Sys } from "../../../src/host/sys.ts";

function requestOf(ipam: object, more: object = {}) {
  const document = { name: "net", type: "calico", cniVersion: "1.0.0", datastore_type: "kubernetes", ...more };
  return { document: { ...document, ipam: { type: "host-local", ...ipam } }, text: "" };
}

/** An agent whose node has these ranges, and how often it was asked. */
function agentOf(podCidrs: readonly string[]) {
  const asked: string[] = [];
  const exchange = (_: string, request: string) => {
    asked.push(request);
    return JSON.stringify({ version: 1, result: { podCidrs } });
  };
  return { asked, sys: { exchange } as unknown as Sys };
}

const both = ["10.1.2.0/24", "fd00:1:2::/64"];
const ipamOf = ({ document }: ReturnType<typeof requestOf>): unknown => document.ipam;

describe("withPodCidrs()", () => {
  test.each([
    [{ subnet: "usePodCidr" }, { subnet: "10.1.2.0/24" }],
    [{ subnet: "USEPODCIDR" }, { subnet: "10.1.2.0/24" }],
    [{ ranges: [[{ subnet: "usePodCidr" }]] }, { ranges: [[{ subnet: "10.1.2.0/24" }]] }],
    [{ ranges: [[{ subnet: "usePodCidrIPv6" }]] }, { ranges: [[{ subnet: "fd00:1:2::/64" }]] }],
    [
      { ranges: [[{ subnet: "usePodCidr", gateway: "10.1.2.9" }], [{ subnet: "usePodCidrIPv6" }]], dataDir: "/d" },
      { ranges: [[{ subnet: "10.1.2.0/24", gateway: "10.1.2.9" }], [{ subnet: "fd00:1:2::/64" }]], dataDir: "/d" },
    ],
  ])("%j becomes %j, and the agent is asked once", (ipam, wanted) => {
    const { sys, asked } = agentOf(both);
    const request = withPodCidrs(requestOf(ipam), () => "node-a", sys);
    expect(ipamOf(request)).toEqual({ type: "host-local", ...wanted });
    expect(JSON.parse(request.text)).toEqual(request.document);
    expect(asked.map((text) => JSON.parse(text))).toEqual([
      expect.objectContaining({ op: "pod-cidrs", nodename: "node-a" }),
    ]);
  });

  test.each([
    [{ subnet: "10.9.0.0/24" }, {}],
    [{ ranges: [[{ subnet: "10.9.0.0/24" }], "x"] }, {}],
    [{ type: "calico-ipam", subnet: "usePodCidr" }, {}],
    [{ subnet: "10.9.0.0/24" }, { datastore_type: "file" }],
  ])("%j stays as it is, without a question", (ipam, more) => {
    const { sys, asked } = agentOf(both);
    const request = requestOf(ipam, more);
    expect(withPodCidrs(request, "node-a", sys)).toBe(request);
    expect(asked).toEqual([]);
  });

  test.each<readonly [object, object, readonly string[], number, string]>([
    [{ subnet: "usePodCidr" }, {}, [], 11, 'node "node-a" has no podCIDR; kube-controller-manager assigns it'],
    [{ subnet: "usePodCidr" }, {}, ["fd00::/64"], 7, 'node "node-a" has no podCIDR of IPv4: fd00::/64'],
    [{ ranges: [[{ subnet: "usePodCidrIPv6" }]] }, {}, ["10.0.0.0/24"], 7, "has no podCIDR of IPv6"],
    [{ subnet: "usePodCidr" }, {}, ["10.0.0.0/24", "10.1.0.0/24"], 7, "two podCIDRs of IPv4"],
    [{ subnet: "usePodCidr" }, { datastore_type: "file" }, both, 7, 'only "datastore_type" "kubernetes" has podCIDRs'],
  ])("refuses %j with %j on a node with %j: code %i", (ipam, more, cidrs, code, text) => {
    const { sys } = agentOf(cidrs);
    const refused = () => withPodCidrs(requestOf(ipam, more), "node-a", sys);
    expect(refused).toThrow(text);
    expect(refused).toThrow(expect.objectContaining({ code }));
  });
});

test("withAnyPodCidrs() needs no agent: DEL and GC find addresses by their files", () => {
  const request = requestOf({ ranges: [[{ subnet: "usePodCidr" }], [{ subnet: "usePodCidrIPv6" }]] });
  expect(ipamOf(withAnyPodCidrs(request))).toEqual({
    type: "host-local",
    ranges: [[{ subnet: "0.0.0.0/0" }], [{ subnet: "::/0" }]],
  });
});

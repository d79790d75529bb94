import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { attributesOf } from "../../../src/ipam/model/attributes.ts";
import { handleIdOf, ownerOfHandle } from "../../../src/ipam/model/handle.ts";
import { hostnameHash } from "../../../src/store/affinity-labels.ts";
import { affinityName, blockName, handleName } from "../../../src/store/object-name.ts";

describe("blockName(), affinityName(), handleName()", () => {
  test.each([
    ["192.168.185.0/26", "192-168-185-0-26"],
    ["fd80:24e2:f998:72d6::/122", "fd80-24e2-f998-72d6---122"],
  ])("blockName(%s) is Calico's", (cidr, name) => {
    expect(blockName(cidr)).toBe(name);
  });

  test("affinityName() joins node and block, and cuts a long node with a digest", () => {
    expect(affinityName("mac-k8s", "192.168.185.0/26")).toBe("mac-k8s-192-168-185-0-26");
    const node = "n".repeat(253);
    const digest = createHash("sha256").update(`${node}+192-168-185-0-26`).digest("hex").slice(0, 11);
    expect(affinityName(node, "192.168.185.0/26")).toBe(`${"n".repeat(252 - 16 - 13)}-192-168-185-0-26-${digest}`);
  });

  test("handleName() keeps Calico's, and keeps apart what differs in case alone", () => {
    expect(handleName("k8s-pod-network.3f2a")).toBe("k8s-pod-network.3f2a");
    expect(new Set(["net.AB", "net.Ab", "net.ab", "net/ab/net1", "net-ab-net1"].map(handleName)).size).toBe(5);
    expect(handleName("../../etc/passwd")).toMatch(/^\.\.-\.\.-etc-passwd-[0-9a-f]{16}$/);
    expect(handleName("x".repeat(500)).length).toBeLessThanOrEqual(200);
  });
});

describe("handleIdOf()", () => {
  test.each([
    ["k8s-pod-network", "3f2a", "eth0", "k8s-pod-network.3f2a"],
    ["k8s-pod-network", "3f2a", "net1", "k8s-pod-network/3f2a/net1"],
    ["a", "b.c", "eth0", "a/b.c/eth0"],
  ])("of %s, %s and %s", (network, containerId, ifname, id) => {
    expect(handleIdOf({ network, containerId, ifname })).toBe(id);
  });

  test("gives every attachment a handle of its own, from which ownerOfHandle() reads it back", () => {
    const word = fc.stringMatching(/^[a-z0-9][a-z0-9_.-]{0,6}$/);
    const ifname = fc.oneof(fc.constant("eth0"), fc.stringMatching(/^[a-z][a-z0-9.]{0,5}$/));
    fc.assert(
      fc.property(fc.record({ network: word, containerId: word, ifname }), (owner) => {
        expect(ownerOfHandle(handleIdOf(owner))).toEqual(owner);
      }),
    );
  });

  test.each(["vxlan-tunnel-addr-mac-k8s", "windows-reserved-ipam-handle", "a/b"])("%s is no attachment's", (id) => {
    expect(ownerOfHandle(id)).toBeUndefined();
  });
});

test("hostnameHash() is base32 of SHA3-256, for names of every length", () => {
  expect(hostnameHash("mac-k8s")).toBe("S4G5Y7PWH2UNAOA5MRZNYO6E5VG6FNNL4RL5S5E3LRM7DZR5TSRA");
  fc.assert(
    fc.property(fc.string({ maxLength: 300 }), (name) => {
      expect(decodeBase32(hostnameHash(name))).toBe(createHash("sha3-256").update(name).digest("hex"));
    }),
    { numRuns: 30 },
  );
});

test.each([
  [756365378, "2022-07-26 17:35:23.756365378 +0000 UTC"],
  [739978210, "2022-07-26 17:35:23.73997821 +0000 UTC"],
  [5, "2022-07-26 17:35:23.000000005 +0000 UTC"],
  [0, "2022-07-26 17:35:23 +0000 UTC"],
])("attributesOf() writes %i ns as Go does", (nanoseconds, timestamp) => {
  const pod = { namespace: "default", name: "nginx" };
  expect(attributesOf({ node: "n", ifname: "eth0", pod }, { seconds: 1658856923, nanoseconds })).toEqual({
    interface: "eth0",
    namespace: "default",
    node: "n",
    pod: "nginx",
    timestamp,
  });
});

function decodeBase32(text: string): string {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  const bits = [...text].map((digit) => alphabet.indexOf(digit).toString(2).padStart(5, "0")).join("");
  return (bits.slice(0, 256).match(/.{4}/g) ?? []).map((four) => Number.parseInt(four, 2).toString(16)).join("");
}

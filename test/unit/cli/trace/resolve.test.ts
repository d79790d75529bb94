import { describe, expect, test } from "vitest";
import { aimAt, senderOf, splitPort, targetAt } from "../../../../src/cli/trace/resolve.ts";
import { known, pods } from "./example.ts";

describe("senderOf()", () => {
  test.each(["shop/cart", "cart", "10.0.0.5"])("finds a pod of this node by %s", (word) => {
    expect(senderOf(word, pods, known, "a")[0].address).toBe("10.0.0.5");
  });

  test("finds a pod without a name by the start of its container ID, as long as runtimes print it", () => {
    expect(senderOf("fedcba987654", pods, known, "a")[0].hostInterface).toBe("cali2");
    expect(() => senderOf("fedc", pods, known, "a")).toThrow('no pod of node "a" has this name or address');
  });

  test("says on which node a pod is, and which pods a name may mean", () => {
    expect(() => senderOf("shop/web", pods, known, "a")).toThrow('it is on node "b": run the command there');
    const twice = [...pods, ...pods.map((pod) => ({ ...pod, name: "other/cart" }))];
    expect(() => senderOf("cart", twice, known, "a")).toThrow("it names shop/cart and other/cart");
  });
});

describe("aimAt() and targetAt()", () => {
  const kindOf = (word: string) => {
    const { address } = aimAt(word, [4], pods, known);
    const isLocal = pods.some((pod) => pod.address === address);
    return isLocal ? "local pod" : targetAt(address, known, ["172.16.0.1"], "a").kind;
  };

  test.each([
    ...[["cart", "local pod"] as const, ["10.0.0.6", "local pod"] as const],
    ...[["shop/web", "far pod"] as const, ["10.0.1.2", "far pod"] as const],
    ...[["b", "far node"] as const, ["10.0.1.1", "far node"] as const, ["172.16.0.1", "this node"] as const],
    // An address of a far block that this node borrowed, but no pod of it has.
    ["10.0.1.3", "unallocated"] as const,
    ...[["10.0.1.0", "unallocated"] as const, ["10.0.77.1", "unallocated"] as const, ["192.0.2.1", "outside"] as const],
  ])("%s is a %s", (word, kind) => {
    expect(kindOf(word)).toBe(kind);
  });

  test("a target of a family that the pod has not, or that nobody knows, is refused", () => {
    expect(() => aimAt("fd00::9", [4], pods, known)).toThrow("the pod has no IPv6 address");
    expect(() => aimAt("nobody", [4], pods, known)).toThrow("neither a pod nor a node of that name is known");
  });
});

describe("splitPort()", () => {
  test.each([
    ["203.0.113.1:8080", "203.0.113.1", 8080, "tcp"],
    ["[2001:db8::1]:53/udp", "2001:db8::1", 53, "udp"],
    ["node-a:9/sctp", "node-a", 9, "sctp"],
  ] as const)("%s has a port", (word, name, number, protocol) => {
    expect(splitPort(word)).toEqual({ name, port: { number, protocol } });
  });

  test.each(["203.0.113.1", "2001:db8::1", "::1", "shop/web", "10.0.0.1:80/icmp", "a:b"])("%s has none", (word) => {
    expect(splitPort(word)).toEqual({ name: word, port: undefined });
  });
});

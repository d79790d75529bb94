import { describe, expect, test } from "vitest";
import { inOrder } from "../../../src/plan/order.ts";
import type { Resource } from "../../../src/plan/resource.ts";

const sysctl = (path: string, rest = {}): Resource => ({ kind: "sysctl", at: "host", path, value: "1", ...rest });
const route = (destination: string, rest = {}): Resource => {
  return { kind: "route", at: "sandbox", destination, link: "eth0", ...rest };
};

describe("inOrder()", () => {
  test("goes by phase, with routes through a gateway behind the others, and sysctls for a firewall last", () => {
    const late = sysctl("late", { afterFirewall: true });
    const far = route("10.0.0.0/8", { gateway: "169.254.1.1" });
    const near = route("169.254.1.1/32");
    const up: Resource = { kind: "up", at: "sandbox", link: "eth0" };
    const blackhole: Resource = { kind: "blackhole", at: "host", destination: "10.65.0.0/26", protocol: 80 };
    const early = sysctl("early");
    expect(inOrder([late, far, near, blackhole, up, early])).toEqual([early, up, near, blackhole, far, late]);
  });

  test("keeps the order within a phase", () => {
    const all = ["a", "b", "c"].map((path) => sysctl(path));
    expect(inOrder(all)).toEqual(all);
    expect(inOrder([])).toEqual([]);
  });
});

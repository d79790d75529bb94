import { expect, test } from "vitest";
import { identityOf } from "../../../src/plan/identity.ts";
import type { NodeResource } from "../../../src/plan/node-plan.ts";
import { routePriority } from "../../../src/plan/route-priority.ts";

const at = "host";

test("a route, and a blackhole, have the identity of their destination, table and priority", () => {
  const link = "eth0";
  const same: readonly NodeResource[] = [
    { kind: "route", at, link, destination: "10.0.0.0/26" },
    { kind: "route", at, link: "vxlan.calico", destination: "10.0.0.0/26", gateway: "10.0.0.1", protocol: 80 },
    { kind: "route", at, link, destination: "10.0.0.0/26", table: 254, priority: 0 },
    { kind: "blackhole", at, destination: "10.0.0.0/26", protocol: 80 },
  ];
  expect(new Set(same.map(identityOf)).size).toBe(1);
  const others: readonly NodeResource[] = [
    { kind: "route", at, link, destination: "10.0.0.0/27" },
    { kind: "route", at, link, destination: "10.0.0.0/26", table: 100 },
    { kind: "route", at, link, destination: "10.0.0.0/26", priority: 1024 },
  ];
  expect(new Set([...same, ...others].map(identityOf)).size).toBe(4);
});

test("IPv6 routes have priority 1024 if none is given", () => {
  expect(routePriority({ destination: "fd00::/64" })).toBe(1024);
  expect(routePriority({ destination: "fd00::/64", priority: 5 })).toBe(5);
  expect(routePriority({ destination: "10.0.0.0/8" })).toBe(0);
});

test("an entry of a link has the identity of the link and its key, not of its value", () => {
  const neighbour = { kind: "neighbour", at, link: "vxlan.calico", address: "10.0.0.1" } as const;
  expect(identityOf({ ...neighbour, mac: "66:00:00:00:00:01" })).toBe(
    identityOf({ ...neighbour, mac: "66:00:00:00:00:02" }),
  );
  const entry = { kind: "fdb", at, link: "vxlan.calico", mac: "66:00:00:00:00:01" } as const;
  expect(identityOf({ ...entry, destination: "172.16.0.1" })).toBe(identityOf({ ...entry, destination: "172.16.0.2" }));
});

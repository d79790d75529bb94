import { expect, test } from "vitest";
import { awaitGates } from "../../../plugins/calico/cluster.ts";
import type { Sys } from "../../../src/host/sys.ts";

/** What the agent is asked. */
function askedFor(more: object, datastore = "kubernetes"): readonly unknown[] {
  const asked: unknown[] = [];
  const exchange = (_: string, request: string) => {
    asked.push(JSON.parse(request));
    return JSON.stringify({ version: 1, result: {} });
  };
  const document = { name: "net", type: "calico", cniVersion: "1.0.0", datastore_type: datastore, ...more };
  awaitGates({ document }, "node-a", { exchange } as unknown as Sys);
  return asked;
}

test.each(["readiness_gates", "Readiness_Gates"])("awaitGates() sends the URLs of %s to the agent", (key) => {
  expect(askedFor({ [key]: ["http://a/", "http://b/"] })).toEqual([
    expect.objectContaining({ op: "gates", nodename: "node-a", urls: ["http://a/", "http://b/"] }),
  ]);
});

test.each([
  [{}, "kubernetes"],
  [{ readiness_gates: [], policy_setup_timeout_seconds: 5 }, "etcdv3"],
  [{ readiness_gates: null }, "kubernetes"],
  [{ readiness_gates: ["http://a/"] }, "file"],
])("awaitGates() asks nothing for %j with %s", (more, datastore) => {
  expect(askedFor(more, datastore)).toEqual([]);
});

test.each([
  [{ readiness_gates: "http://a/" }, "want a list of URLs"],
  [{ policy_setup_timeout_seconds: -1 }, "want seconds, at least 0"],
  [{ policy_setup_timeout_seconds: "5" }, "want seconds, at least 0"],
])("awaitGates() refuses %j", (more, reason) => {
  expect(() => askedFor(more)).toThrow(expect.objectContaining({ code: 7, message: expect.stringContaining(reason) }));
});

import { expect, test } from "vitest";
import { CniError } from "../../../src/cni/error.ts";
import { runEvery } from "../../../src/errors/run-every.ts";
import type { Difference } from "../../../src/plan/resource.ts";
import { refuseDifferences } from "../../../src/plugin/differences.ts";
import { protocolError } from "../../../src/plugin/error-codes.ts";

const missing: Difference = {
  resource: { kind: "up", at: "sandbox", link: "eth0" },
  text: "link eth0 is down in the sandbox",
};
const lost = { kind: "allocation", text: "10.0.0.5 of prevResult is not assigned to it" };

function thrownBy(body: () => void): unknown {
  try {
    body();
  } catch (error) {
    return error;
  }
  return undefined;
}

test("refuseDifferences() has each difference in the message, and as data in the details", () => {
  const error = thrownBy(() => refuseDifferences('"eth0"', [missing, lost])) as CniError;
  expect([error.code, error.message]).toEqual([
    101,
    'cannot confirm "eth0": link eth0 is down in the sandbox; 10.0.0.5 of prevResult is not assigned to it',
  ]);
  expect(JSON.parse(error.details ?? "")).toEqual([
    { kind: "up", at: "sandbox", text: "link eth0 is down in the sandbox" },
    lost,
  ]);
  expect(thrownBy(() => refuseDifferences('"eth0"', []))).toBeUndefined();
});

test("runEvery() keeps the data of several steps' differences", () => {
  const steps = [() => refuseDifferences("one", [missing]), () => refuseDifferences("two", [lost])];
  const error = protocolError(thrownBy(() => runEvery(steps))) as CniError;
  expect([error.code, (JSON.parse(error.details ?? "") as unknown[]).length]).toEqual([101, 2]);
  const refuse = () => {
    throw new CniError(5, "no");
  };
  const mixed = protocolError(thrownBy(() => runEvery([...steps, refuse]))) as CniError;
  expect([mixed.code, (JSON.parse(mixed.details ?? "") as unknown[]).length]).toEqual([101, 2]);
});

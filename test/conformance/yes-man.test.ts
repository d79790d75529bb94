/**
 * The rows can fail: a plugin that does nothing and always reports success fails all rows except those that require nothing else.
 */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Outcome } from "./row.ts";
import { runRow } from "./run.ts";
import { rows } from "./sections.ts";
import { loadSubject, referenceConflist } from "./subject.ts";

const program = `#!/bin/sh
case $CNI_COMMAND in
  VERSION) echo '{"cniVersion":"1.1.0","supportedVersions":["0.1.0","0.2.0","0.3.0","0.3.1","0.4.0","1.0.0","1.1.0"]}' ;;
  ADD) jq -c '.prevResult // {cniVersion, interfaces: [{name: env.CNI_IFNAME, sandbox: env.CNI_NETNS}], ips: [{address: "10.22.0.2/32", interface: 0}]}' ;;
esac
exit 0
`;

/** Rows for which it is right to repeat the input, or to do nothing. */
const passed: readonly number[] = [
  // VERSION
  ...[4, 5, 6, 7, 9, 165],
  // the shape of a result, in the version and for the sandbox of the request
  ...[40, 43, 44, 45],
  // a result that is passed on
  ...[53, 54, 59, 61, 146, 153, 172],
  // no problem to report, nothing to collect
  ...[110, 114],
];

let dir: string;

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "yes-man-"));
  for (const type of ["ptp", "host-local", "bandwidth", "portmap", "loopback"]) {
    writeFileSync(join(dir, type), program);
    chmodSync(join(dir, type), 0o755);
  }
});

afterAll(() => rmSync(dir, { recursive: true, force: true }));

test("the conformance suite fails a plugin that does nothing and reports success, in all rows that require an effect", {
  timeout: 900_000,
}, async () => {
  const subject = await loadSubject({ dir, conflist: referenceConflist, name: "yes-man" });
  const outcomes: Outcome[] = [];
  for (const row of rows) outcomes.push(await runRow(row, subject));
  expect(outcomes.filter(({ is }) => is === "pass").map(({ number }) => number)).toEqual(
    [...passed].sort((a, b) => a - b),
  );
});

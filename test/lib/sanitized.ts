/**
 * vitest's set-up and tear-down of the ring `sanitized`: builds the executables with sanitizers, and fails the ring if a sanitizer reported
 * anything. The tests cannot: a plugin that a sanitizer ends looks like one that failed, which some of them expect.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { execaSync } from "execa";
import { findingsDirectory } from "../../scripts/build/toolchain.ts";
import { root } from "./suite.ts";

export function setup(): void {
  const run = execaSync({ cwd: root, preferLocal: true, stdio: "inherit" });
  run`scripts/setup --sanitizers`;
  run`tsx scripts/build.ts --sanitized`;
  rmSync(findingsDirectory, { recursive: true, force: true });
  mkdirSync(findingsDirectory, { recursive: true });
}

export function teardown(): void {
  const findings = readdirSync(findingsDirectory);
  if (findings.length === 0) return;
  const first = readFileSync(join(findingsDirectory, findings[0] ?? ""), "utf8").slice(0, 4000);
  throw new Error(`the sanitizers found something ${findings.length} times, the first time:\n${first}`);
}

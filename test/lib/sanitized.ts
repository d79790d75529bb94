/**
 * What vitest calls around the ring `sanitized`: builds the executables that sanitizers watch, and fails the ring when one of them found
 * something. A plugin that a sanitizer ends looks like one that failed, which some tests expect.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { findingsDirectory } from "../../scripts/build/toolchain.ts";
import { root } from "./suite.ts";

export function setup(): void {
  execFileSync(join(root, "scripts/setup"), ["--sanitizers"], { stdio: "inherit" });
  execFileSync(join(root, "node_modules/.bin/tsx"), ["scripts/build.ts", "--sanitized"], {
    cwd: root,
    stdio: "inherit",
  });
  rmSync(findingsDirectory, { recursive: true, force: true });
  mkdirSync(findingsDirectory, { recursive: true });
}

export function teardown(): void {
  const findings = readdirSync(findingsDirectory);
  if (findings.length === 0) return;
  const first = readFileSync(join(findingsDirectory, findings[0] ?? ""), "utf8").slice(0, 4000);
  throw new Error(`the sanitizers found something ${findings.length} times, the first time:\n${first}`);
}

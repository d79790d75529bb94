/** The image of `scripts/image`: its programs run with nothing but what it contains. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execaSync } from "execa";
import { afterAll, beforeAll, expect, test } from "vitest";
import { birdIsMissing } from "../lib/node/bird.ts";
import { requireBuild, root } from "../lib/suite.ts";

const directory = mkdtempSync(join(tmpdir(), "tortie-image-"));
const image = join(directory, "root");

beforeAll(() => {
  requireBuild();
  mkdirSync(image);
  execaSync(join(root, "scripts/image"), [join(directory, "image.tar")]);
  execaSync("tar", ["-C", directory, "-xf", join(directory, "image.tar")]);
  execaSync("tar", ["-C", image, "-xf", join(directory, "layer.tar")]);
});

afterAll(() => {
  rmSync(directory, { recursive: true, force: true });
});

/** Runs a program with the image as its root. */
function inImage(...argv: readonly string[]): string {
  const { stdout, stderr } = execaSync("/usr/sbin/chroot", [image, ...argv], {
    env: { PATH: "/usr/bin" },
    extendEnv: false,
  });
  return stdout + stderr;
}

test("Node, flock and the operator's command run", () => {
  expect(inImage("/usr/bin/node", "--version")).toBe(process.version);
  expect(inImage("/usr/bin/flock", "--version")).toContain("flock");
  expect(inImage("/usr/bin/node", "/opt/tortie/tortie.js", "--version")).toContain(versionOf("package.json"));
  expect(existsSync(join(image, "opt/tortie/bin/calico"))).toBe(true);
});

test.skipIf(birdIsMissing !== undefined)("BIRD runs", () => {
  expect(inImage("/usr/bin/bird", "--version")).toMatch(/^BIRD version [23]\./);
});

function versionOf(file: string): string {
  return (JSON.parse(readFileSync(join(root, file), "utf8")) as { readonly version: string }).version;
}

/** The bundle of the operator's command, copied to the usual places, with each installed Node (`TORTIE_NODES`: paths, separated by colons). */
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { execaSync } from "execa";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buildForNode } from "../../scripts/build/node-bundle.ts";

const nodes = [process.execPath, ...(process.env.TORTIE_NODES?.split(":") ?? [])];
const define = { TORTIE_VERSION: '"1.2.3"', TORTIE_COMMIT: '"0123456789ab"', TORTIE_ENGINE: '"none"' };
let directory: string;
let bundle: string;

beforeAll(async () => {
  directory = realpathSync(mkdtempSync(join(tmpdir(), "tortie-bundle-")));
  bundle = join(directory, "tortie.js");
  await buildForNode({ root: process.cwd(), program: "tortie", define, target: bundle });
});

afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** The bundle under another name, optionally with a package.json in its directory. */
function placed(name: string, packageJson?: object): string {
  const place = mkdtempSync(join(directory, "place-"));
  const path = join(place, name);
  mkdirSync(dirname(path), { recursive: true });
  if (packageJson !== undefined) writeFileSync(join(place, "package.json"), JSON.stringify(packageJson));
  copyFileSync(bundle, path);
  return path;
}

describe.each(nodes)("under %s", (node) => {
  test.each([
    ["usr/local/bin/tortie", undefined],
    ["tortie", { type: "module" }],
    ["tortie", { type: "commonjs" }],
    ["tortie.js", undefined],
    ["tortie.js", { type: "module" }],
    ["tortie.js", {}],
    ["tortie.mjs", undefined],
    ["tortie.cjs", undefined],
  ])("runs as %s beside a package.json of %j", (name, packageJson) => {
    const program = placed(name, packageJson);
    const link = join(dirname(program), "linked");
    symlinkSync(program, link);
    for (const path of [program, link]) {
      const { stdout, stderr } = execaSync(node, [path, "version"], { cwd: "/", lines: true });
      expect(stdout).toEqual(["Client Version:   1.2.3", "Git commit:       0123456789ab"]);
      expect(stderr).toEqual([]);
    }
  });

  test("reads and writes a store, and ends with the status of its command", () => {
    const program = placed("tortie");
    const place = dirname(program);
    const run = (words: readonly string[], input = "") =>
      execaSync(node, [program, ...words, "--run-dir", place, "--state-dir", place], { input, reject: false });
    const pool = "apiVersion: projectcalico.org/v3\nkind: IPPool\nmetadata: {name: blue}\nspec: {cidr: 10.77.0.0/24}\n";
    expect(run(["apply", "-f", "-"], pool)).toMatchObject({ exitCode: 0, stdout: 'IPPool "blue" created', stderr: "" });
    expect(run(["get", "ippool", "-o", "name"])).toMatchObject({ exitCode: 0, stdout: "ippool/blue" });
    expect(run(["get", "ippool", "red"]).exitCode).toBe(1);
    expect(run(["get", "nonsense"]).exitCode).toBe(2);
  });
});

test("the bundle starts with Node's shebang", () => {
  expect(readFileSync(bundle, "utf8")).toMatch(/^#!\/usr\/bin\/env node\n/);
});

/** `npm run demo` succeeds, and prints plain text without a terminal. */
import { join } from "node:path";
import { execa } from "execa";
import { beforeAll, expect, test } from "vitest";
import { requireBuild, root } from "../lib/suite.ts";

beforeAll(requireBuild);

test("the demo exits with code 0 and shows every step", async () => {
  const argv = ["--import", "tsx", join(root, "scripts/demo.ts")];
  const { exitCode, stdout } = await execa(process.execPath, argv, { cwd: root, input: "", reject: false });
  expect(stdout.split("\n").filter((line) => /^( {2}no |failed:)/.test(line))).toEqual([]);
  const titles = ["ADD web", "pod to pod", "pod to node", "natOutgoing", "host port", "rate", "CHECK", "doctor", "DEL"];
  expect(titles.filter((title) => !new RegExp(`^\\d+\\. .*${title}`, "m").test(stdout))).toEqual([]);
  expect(stdout).not.toContain("\u001b");
  expect(exitCode).toBe(0);
});

test("the demo without the executables says so and exits with code 1", async () => {
  const argv = ["--import", "tsx", join(root, "scripts/demo.ts")];
  const env = { ...process.env, TORTIE_PLUGINS: "/nonexistent" };
  const { exitCode, stdout } = await execa(process.execPath, argv, { cwd: root, input: "", env, reject: false });
  expect(stdout).toContain('run "npm run build"');
  expect(exitCode).toBe(1);
});

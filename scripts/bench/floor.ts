/** The floor of the bench (`floor.c`), built for this machine: the kernel's work of the chain alone, and not even that. */
import { linkSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { execaSync } from "execa";
import { root } from "../../test/lib/suite.ts";
import { type Suite, workDir } from "./measure.ts";
import { scenarios } from "./scenarios.ts";

const plugins = [...new Set(scenarios.flatMap(({ ours }) => ours.plugins.map(({ type }) => type)))];
const headers = join(root, "build/engine/include");

/** `floor` does the kernel's work of an IPv4 pod; `empty` reads its input and answers. */
export function buildFloor(): readonly Suite[] {
  return [
    { name: "floor", list: "ours", directory: build("floor", []), serves: ({ isDual }) => !isDual },
    { name: "empty", list: "ours", directory: build("empty", ["-DEMPTY"]) },
  ];
}

function build(name: string, flags: readonly string[]): string {
  const directory = join(workDir, name);
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  const [first, ...others] = plugins.map((plugin) => join(directory, plugin)) as [string, ...string[]];
  const warnings = ["-Wall", "-Wextra", "-Werror"];
  const source = join(root, "scripts/bench/floor.c");
  execaSync("musl-gcc", ["-static", "-O2", ...warnings, ...flags, "-isystem", headers, "-o", first, source], {
    stdio: "inherit",
  });
  for (const other of others) linkSync(first, other);
  return directory;
}

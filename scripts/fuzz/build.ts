/** Builds the fuzz targets of `test/fuzz` into `build/fuzz/bin`: one executable, linked under each target's name, and one for the engine's heap. */
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildExecutable } from "../build/executable.ts";
import { sanitized } from "../build/toolchain.ts";
import { setup as generateModules } from "../validators.ts";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const source = join(root, "test/fuzz");
export const fuzzDirectory = join(root, "build/fuzz");
export const binDirectory = join(fuzzDirectory, "bin");
const heap = join(fuzzDirectory, "heap");

/** The targets in TypeScript; `heap` is in C. */
export const scriptTargets: readonly string[] = readdirSync(join(source, "targets")).map((file) =>
  basename(file, ".ts"),
);

/** The path of a target's executable. */
export function executableOf(target: string): string {
  return target === "heap" ? heap : join(binDirectory, target);
}

export async function buildFuzzTargets(): Promise<void> {
  execFileSync(join(root, "scripts/engine"), ["--sanitized"], { stdio: "inherit" });
  await generateModules();
  mkdirSync(fuzzDirectory, { recursive: true });
  const options = {
    programs: Object.fromEntries(
      scriptTargets.map((name) => [
        name,
        `import "./test/fuzz/buffer.ts"; export { main } from "./test/fuzz/targets/${name}.ts";`,
      ]),
    ),
    workDirectory: fuzzDirectory,
    targetDirectory: binDirectory,
    define: { TORTIE_VERSION: '"0"', TORTIE_COMMIT: '"fuzz"', TORTIE_ENGINE: '"quickjs"' },
  };
  const { compiler, compilerFlags, linkerFlags } = sanitized;
  await buildExecutable(options, {
    ...sanitized,
    linkerFlags: [...linkerFlags, "-fsanitize=fuzzer"],
    sources: [...sanitized.sources.filter((file) => basename(file) !== "main.c"), join(source, "harness.c")],
    objectDirectory: join(fuzzDirectory, "host"),
  });
  execFileSync(compiler, [...compilerFlags, ...linkerFlags, "-fsanitize=fuzzer", join(source, "heap.c"), "-o", heap], {
    stdio: "inherit",
  });
}

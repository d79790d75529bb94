/**
 * Builds the plugins, the operator's command and the node agent: `tsx scripts/build.ts`. With `--sanitized` or `--stock` it builds only the
 * plugins, into `build/sanitized/bin` or `build/stock/bin`, for `TORTIE_PLUGINS=build/sanitized/bin npm test -- netns`; see toolchain.ts.
 *
 * Each directory of `plugins/` becomes a name of one static executable in `dist/bin`, and `dist/tortie-net`, which the agent runs, is one more name
 * of that file. The command is `dist/tortie.js` and the agent `dist/tortie-node.js`, for Node.
 */
import { type ExecFileSyncOptionsWithStringEncoding, execFileSync } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildExecutable } from "./build/executable.ts";
import { buildForNode } from "./build/node-bundle.ts";
import { pluginNames } from "./build/registry.ts";
import { findingsDirectory, release, sanitized, stock, type Toolchain } from "./build/toolchain.ts";
import { setup as generateModules } from "./validators.ts";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");

/** The node agent finds it beside itself. It is no plugin, so it is not among them. */
const executor = "tortie-net";
const executorEntry = `
  import { quickjsSys } from "./src/host/quickjs.ts";
  import { runTortieNet } from "./src/tortie-net/main.ts";
  export const main = () => runTortieNet(quickjsSys);
`;

try {
  if (process.argv.includes("--sanitized")) {
    execFileSync(join(root, "scripts/engine"), ["--sanitized"], { stdio: "inherit" });
    mkdirSync(findingsDirectory, { recursive: true });
    await buildPlugins("build/sanitized/bin", "build/sanitized", sanitized);
  } else if (process.argv.includes("--stock")) {
    execFileSync(join(root, "scripts/engine"), ["--stock"], { stdio: "inherit" });
    await buildPlugins("build/stock/bin", "build/stock", stock);
  } else {
    await buildPlugins("dist/bin", "build/release", release);
    for (const program of ["tortie", "tortie-node"] as const)
      await buildForNode({ root, program, define: buildInfo() });
  }
} catch (error) {
  process.stderr.write(`build: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}

async function buildPlugins(target: string, workDirectory: string, toolchain: Toolchain): Promise<void> {
  const start = performance.now();
  const names = await pluginNames(root);
  await generateModules();
  const options = {
    programs: Object.fromEntries(names.map((name) => [name, entryOf(name)])),
    later: { [executor]: executorEntry },
    workDirectory: join(root, workDirectory),
    targetDirectory: join(root, target),
    define: buildInfo(),
  };
  const size = await buildExecutable(options, toolchain);
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  process.stderr.write(`build: ${target}/{${names.join(",")}}: ${size} bytes, in ${seconds} s\n`);
}

function entryOf(name: string): string {
  return `
    import plugin from "./plugins/${name}/main.ts";
    import { quickjsSys } from "./src/host/quickjs.ts";
    import { runPlugin } from "./src/plugin/run.ts";
    export const main = () => runPlugin(plugin, quickjsSys);
  `;
}

/** The constants that src/plugin/build-info.ts reads. */
function buildInfo(): Readonly<Record<string, string>> {
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
  const engine = execFileSync(join(root, "scripts/engine"), ["--print-version"], { encoding: "utf8" }).trim();
  return {
    TORTIE_VERSION: JSON.stringify(version),
    TORTIE_COMMIT: JSON.stringify(commitOf()),
    TORTIE_ENGINE: JSON.stringify(`quickjs ${engine}`),
  };
}

function commitOf(): string {
  try {
    const options: ExecFileSyncOptionsWithStringEncoding = {
      cwd: root,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    };
    return execFileSync("git", ["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"], options).trim();
  } catch {
    return "unknown";
  }
}

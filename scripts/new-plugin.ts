/**
 * `npm run new-plugin NAME [main|chained]`: creates the files of a plugin that compiles, passes `npm run ok` and refuses every operation except
 * VERSION until its code is written. CONTRIBUTING.md describes the next steps.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import { type NewPlugin, newFiles } from "./new-plugin/files.ts";
import { newTests } from "./new-plugin/tests.ts";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");

try {
  await makePlugin(pluginOf(process.argv.slice(2)));
} catch (error) {
  process.stderr.write(`new-plugin: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}

/** Throws if the name is not valid for a plugin. */
function pluginOf([name = "", role = "chained"]: readonly string[]): NewPlugin {
  if (!/^[a-z][a-z0-9-]*$/.test(name)) {
    throw new Error(`cannot make plugin "${name}": wanted a name of small letters, digits and "-"`);
  }
  if (role !== "main" && role !== "chained")
    throw new Error(`cannot make plugin "${name}": no role "${role}"; wanted main or chained`);
  if (existsSync(join(root, "plugins", name))) throw new Error(`cannot make plugin "${name}": plugins/${name} exists`);
  return { name, role };
}

async function makePlugin(plugin: NewPlugin): Promise<void> {
  const files = { ...newFiles(plugin), ...newTests(plugin) };
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  listExample(plugin);
  const run = execa({ cwd: root, preferLocal: true, stdout: "ignore" });
  await run`tsx scripts/validators.ts`;
  await run`biome check --write ${Object.keys(files).filter((path) => path.endsWith(".ts"))}`;
  await run`tsx scripts/docs.ts`;
  process.stdout.write(`${Object.keys(files).join("\n")}\n`);
}

/** The example's line in conf-examples/README.md. */
function listExample({ name }: NewPlugin): void {
  const path = join(root, "conf-examples/README.md");
  const line = `| \`10-${name}.conflist\` | \`${name}\`, which is not implemented |\n`;
  writeFileSync(path, readFileSync(path, "utf8").replace(/^\| `99-/m, `${line}$&`));
}

/**
 * Writes the generated parts of the documents; `--check` only reports whether they are up to date.
 *
 * - between `<!-- plugins -->` and `<!-- /plugins -->`: the purpose of each plugin, from its descriptor
 * - the names in the shell's `for name in …; do` lines, from the descriptors
 * - between `<!-- keys:<plugin> -->` and `<!-- /keys -->`: the configuration keys, from the plugin's schema
 * - between `<!-- settings -->` and `<!-- /settings -->`: the node agent's settings, from their schema
 * - between `<!-- conformance:all -->` or `<!-- conformance:better -->` and `<!-- /conformance -->`: the conformance table, or the rows that
 *   the reference fails, from the rows and the record in `test/conformance`
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { descriptors } from "#plugins/descriptors";
import { describeSettings } from "../src/agent/settings/schema.ts";
import { readRecord } from "../test/conformance/record.ts";
import { sections } from "../test/conformance/sections.ts";
import { betterTable, wholeTable } from "../test/conformance/table.ts";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const check = process.argv.includes("--check");

const names = descriptors.map(({ name }) => name);
const stale: string[] = [];
for (const file of documents()) {
  const text = readFileSync(file, "utf8");
  const fresh = await withTables(text);
  if (fresh === text) continue;
  stale.push(file);
  if (!check) writeFileSync(file, fresh);
}
if (check && stale.length > 0) {
  console.error(`not up to date: ${stale.join(", ")}; run \`npm run fix\``);
  process.exitCode = 1;
}

function documents(): readonly string[] {
  const plugins = readdirSync(join(root, "plugins")).map((plugin) => `plugins/${plugin}/README.md`);
  return ["README.md", "docs/configuration.md", "docs/conformance.md", "docs/operations.md", ...plugins]
    .map((file) => join(root, file))
    .filter((file) => existsSync(file));
}

async function withTables(text: string): Promise<string> {
  let result = text
    .replace(/<!-- plugins -->\n[\s\S]*?<!-- \/plugins -->/g, `<!-- plugins -->\n${pluginTable()}\n<!-- /plugins -->`)
    .replace(
      /<!-- settings -->\n[\s\S]*?<!-- \/settings -->/g,
      `<!-- settings -->\n${settingsTable()}\n<!-- /settings -->`,
    )
    // The name that runtimes execute first is linked last and removed first.
    .replace(/for name in [a-z -]+; do ln/g, `for name in ${[...names].reverse().join(" ")}; do ln`)
    .replace(/for name in [a-z -]+; do if/g, `for name in ${names.join(" ")}; do if`);
  for (const [whole, plugin] of text.matchAll(/<!-- keys:(\S+) -->\n[\s\S]*?<!-- \/keys -->/g)) {
    result = result.replace(whole, `<!-- keys:${plugin} -->\n${await table(plugin ?? "")}\n<!-- /keys -->`);
  }
  for (const [whole, which] of text.matchAll(/<!-- conformance:(all|better) -->\n[\s\S]*?<!-- \/conformance -->/g)) {
    const made = which === "all" ? wholeTable(sections, readRecord()) : betterTable(sections, readRecord());
    result = result.replace(whole, `<!-- conformance:${which} -->\n${made}\n<!-- /conformance -->`);
  }
  return result;
}

function pluginTable(): string {
  const rows = descriptors.map(({ name, purpose }) => `| \`${name}\` | ${purpose} |`);
  return ["| executable | what it does |", "| --- | --- |", ...rows].join("\n");
}

function settingsTable(): string {
  const rows = describeSettings().map(({ name, meaning }) => `| \`${name}\` | ${meaning} |`);
  return ["| variable | meaning |", "| --- | --- |", ...rows].join("\n");
}

async function table(plugin: string): Promise<string> {
  const { schema } = (await import(join(root, "plugins", plugin, "schema.ts"))) as { schema: z.ZodType };
  const rows = rowsOf(z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }) as JsonSchema, "");
  return ["| key | type | meaning |", "| --- | --- | --- |", ...rows].join("\n");
}

interface JsonSchema {
  readonly type?: string;
  readonly description?: string;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly items?: JsonSchema;
  readonly anyOf?: readonly JsonSchema[];
  readonly enum?: readonly unknown[];
}

function rowsOf(schema: JsonSchema, prefix: string): readonly string[] {
  return Object.entries(schema.properties ?? {}).flatMap(([key, value]) => {
    const path = prefix + key;
    const meaning = value.description ?? "";
    const star = schema.required?.includes(key) ? " (required)" : "";
    const own = meaning === "" ? [] : [`| \`${path}\` | ${typeOf(value)} | ${meaning.replaceAll("|", "\\|")}${star} |`];
    const inner = value.type === "array" ? rowsOf(value.items ?? {}, `${path}[].`) : rowsOf(value, `${path}.`);
    return [...own, ...inner];
  });
}

function typeOf(schema: JsonSchema): string {
  if (schema.anyOf !== undefined) return [...new Set(schema.anyOf.map(typeOf))].join(" or ");
  if (schema.enum !== undefined) return schema.enum.map((value) => JSON.stringify(value)).join(", ");
  if (schema.type === "array") return `list of ${typeOf(schema.items ?? {})}`;
  return schema.type ?? "any";
}

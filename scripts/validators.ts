/**
 * Writes `build/validators/<name>.js` and `.d.ts` for each `plugins/<name>/schema.ts`: its zod schema as the table that
 * `src/schema/schema.ts` interprets. Loading zod itself would triple a plugin's start-up time.
 *
 * A schema that the interpreter does not support in full is refused here rather than on a node.
 */
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { z } from "zod";
import type { Schema } from "../src/schema/schema.ts";
import type { Kind } from "../src/store/object.ts";
import { specSchemas } from "../src/store/schemas.ts";
import { generateRegistry } from "./build/registry.ts";
import { writeChanged } from "./build/write-changed.ts";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");

async function generateValidators(): Promise<void> {
  const target = join(root, "build/validators");
  mkdirSync(target, { recursive: true });
  const tables: (readonly [string, Schema])[] = [];
  for (const name of readdirSync(join(root, "plugins"))) {
    const path = join(root, "plugins", name, "schema.ts");
    if (!existsSync(path)) continue;
    const { schema } = (await import(pathToFileURL(path).href)) as { schema: z.ZodType };
    tables.push([name, tableOf(schema, name)]);
  }
  const stored = storeTables();
  const parts = repeatedParts([...tables, ...stored].map(([, table]) => table));
  const declarations = parts.map(
    (part, at) => `export const part${at} = ${codeOf(JSON.parse(part), parts.slice(0, at))};\n`,
  );
  writeChanged(join(target, "parts.js"), declarations.join(""));
  writeStoreTables(target, stored, parts);
  for (const [name, table] of tables) {
    const code = codeOf(table, parts);
    const imports = [
      'import { validator } from "../../src/cni/conf.ts";',
      `import { ${[...new Set(code.match(/\bpart\d+\b/g))].join(", ")} } from "./parts.js";`,
    ];
    writeChanged(join(target, `${name}.js`), `${imports.join("\n")}\nexport const validate = validator(${code});\n`);
    writeChanged(
      join(target, `${name}.d.ts`),
      'import type { Validate } from "../../src/cni/conf.ts";\nexport declare const validate: Validate;\n',
    );
  }
}

/**
 * The fields of each kind that a node reads, required ones first: other programs, and earlier versions of them, wrote these objects. Fields
 * that no code reads are not validated and cost the executable nothing.
 */
const readKeys: Readonly<Partial<Record<Kind, readonly [required: readonly string[], optional: readonly string[]]>>> = {
  IPPool: [
    ["cidr"],
    ["blockSize", "disabled", "natOutgoing", "assignmentMode", "allowedUses", "nodeSelector", "namespaceSelector"],
  ],
  IPReservation: [["reservedCIDRs"], []],
  IPAMConfig: [[], ["strictAffinity", "autoAllocateBlocks", "maxBlocksPerHost", "ipCooldownSeconds"]],
  IPAMBlock: [["cidr", "allocations", "unallocated", "attributes", "sequenceNumber"], ["affinity"]],
  IPAMHandle: [["handleID", "block"], []],
  BlockAffinity: [["cidr", "node"], ["state"]],
};

/** The tables of stored objects, by kind. The lists of a block, with one item per address, are not validated item by item. */
function storeTables(): readonly (readonly [string, Schema])[] {
  return Object.entries(readKeys).map(([kind, [required, optional]]) => {
    const { properties = {} } = reduce(lenient(z.toJSONSchema(specSchemas[kind as Kind], bigints)) as JsonSchema, kind);
    const kept = [...required, ...optional].map((key) => {
      const { items, ...own } = properties[key] as Schema;
      return [key, kind === "IPAMBlock" || items === undefined ? own : { items, ...own }] as const;
    });
    return [kind, { properties: Object.fromEntries(kept), ...(required.length > 0 && { required }) }];
  });
}

function writeStoreTables(
  target: string,
  tables: readonly (readonly [string, Schema])[],
  parts: readonly string[],
): void {
  const lines = tables.map(([kind, table]) => `  ${kind}: ${codeOf(table, parts)},\n`);
  const code = `export const specTables = {\n${lines.join("")}};\n`;
  const used = [...new Set(code.match(/\bpart\d+\b/g))].join(", ");
  writeChanged(join(target, "store.js"), `import { ${used} } from "./parts.js";\n${code}`);
  writeChanged(
    join(target, "store.d.ts"),
    'import type { SpecTables } from "../../src/store/decode.ts";\nexport declare const specTables: SpecTables;\n',
  );
}

/** JSON Schema cannot express "an integer that a JavaScript number holds exactly". */
const bigints = {
  io: "input",
  unrepresentable: "any",
  override({ zodSchema, jsonSchema }) {
    if (zodSchema._zod.def.type === "bigint") Object.assign(jsonSchema, { type: "bigint" });
  },
} as const satisfies Parameters<typeof z.toJSONSchema>[1];

/** The same schema, but unknown keys are allowed. */
function lenient(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(lenient);
  if (typeof schema !== "object" || schema === null) return schema;
  const kept = Object.entries(schema).filter(
    ([keyword, value]) => keyword !== "additionalProperties" || value !== false,
  );
  return Object.fromEntries(kept.map(([keyword, value]) => [keyword, lenient(value)]));
}

/** Writes all generated files that the sources import: vitest's `globalSetup`. */
export async function setup(): Promise<void> {
  await generateValidators();
  await generateRegistry(root);
}

/** The table of a zod schema. Throws on a keyword that the interpreter does not know; `name` is for the message. */
export function tableOf(schema: z.ZodType, name: string): Schema {
  return reduce(z.toJSONSchema(schema, { io: "input" }) as JsonSchema, name);
}

/**
 * The parts that occur more than once in the tables, as JSON, small ones before large ones. Each is created once, because an object takes some
 * 150 bytes in the executable.
 */
function repeatedParts(tables: readonly Schema[]): readonly string[] {
  const counts = new Map<string, number>();
  const visit = (value: unknown): void => {
    if (typeof value !== "object" || value === null) return;
    const text = JSON.stringify(value);
    counts.set(text, (counts.get(text) ?? 0) + 1);
    for (const inner of Object.values(value)) visit(inner);
  };
  for (const table of tables) visit(table);
  const repeated = [...counts].flatMap(([text, count]) => (count > 1 ? [text] : []));
  return repeated.sort((one, other) => one.length - other.length);
}

/** A table as code that refers to the shared parts by name. */
function codeOf(value: unknown, parts: readonly string[]): string {
  const known = parts.indexOf(JSON.stringify(value));
  if (known >= 0) return `part${known}`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map((item) => codeOf(item, parts)).join(", ")}]`;
  const entries = Object.entries(value).map(([key, inner]) => `${JSON.stringify(key)}: ${codeOf(inner, parts)}`);
  return `{ ${entries.join(", ")} }`;
}

type JsonSchema = { readonly [keyword: string]: unknown };

/** Keywords that are for people or that do not constrain anything. */
const silent = new Set(["$schema", "description", "title", "default", "examples", "format", "propertyNames"]);
const kept = new Set([
  "type",
  "required",
  "enum",
  "minimum",
  "maximum",
  "minLength",
  "maxLength",
  "pattern",
  "minItems",
  "maxItems",
]);

function reduce(schema: JsonSchema, path: string): Schema {
  const table: Record<string, unknown> = {};
  for (const [keyword, value] of Object.entries(schema)) {
    const below = `${path}.${keyword}`;
    if (kept.has(keyword) && !(keyword === "type" && Array.isArray(value))) table[keyword] = value;
    else if (keyword === "const") table.enum = [value];
    else if (keyword === "type" && Array.isArray(value)) table.anyOf = value.map((type) => ({ type }));
    else if (keyword === "items") table.items = reduce(value as JsonSchema, below);
    else if (keyword === "anyOf") table.anyOf = (value as JsonSchema[]).map((one) => reduce(one, below));
    else if (keyword === "properties") table.properties = reduceEach(value as Record<string, JsonSchema>, path);
    else if (keyword === "exclusiveMinimum" && schema.type === "integer") table.minimum = (value as number) + 1;
    else if (keyword === "exclusiveMaximum" && schema.type === "integer") table.maximum = (value as number) - 1;
    else if (keyword === "additionalProperties" && typeof value === "object") {
      const others = reduce(value as JsonSchema, below);
      if (Object.keys(others).length > 0) table.additionalProperties = others;
    } else if (!silent.has(keyword)) {
      throw new Error(
        `cannot generate the validator of ${path}: ${keyword}: ${JSON.stringify(value)} is not supported`,
      );
    }
  }
  // Integers are always safe ones, and an enumeration implies its type.
  if (table.minimum === Number.MIN_SAFE_INTEGER) delete table.minimum;
  if (table.maximum === Number.MAX_SAFE_INTEGER) delete table.maximum;
  if (table.enum !== undefined) delete table.type;
  return table;
}

function reduceEach(schemas: Readonly<Record<string, JsonSchema>>, path: string): Record<string, Schema> {
  return Object.fromEntries(Object.entries(schemas).map(([key, one]) => [key, reduce(one, `${path}.${key}`)]));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await setup();

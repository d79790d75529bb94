/**
 * Writes `build/plugins/<module>.js` and `.d.ts`, the lists of all plugins, which code imports as `#plugins/<module>`:
 *
 *     descriptors      `plugins/<name>/descriptor.ts` of each, in the order of a chain, and the type of their names
 *     configurations   their schemas, and what a plugin says itself when it reads a configuration
 *     planners         the plan of an ADD; IPAM plugins, which create nothing in the kernel, have none
 *     programs         the plugins
 *
 * There is no list to maintain: a directory with a descriptor is a plugin.
 */
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Descriptor, Role } from "../../src/plugin/descriptor.ts";
import { writeChanged } from "./write-changed.ts";

/** The order of the plugins: the roles that a runtime executes first, and within a role the plugins that other suites lack. */
const roles: readonly Role[] = ["main", "ipam", "chained", "sandbox"];

export async function generateRegistry(root: string): Promise<void> {
  const described = await describedIn(root);
  const target = join(root, "build/plugins");
  mkdirSync(target, { recursive: true });
  for (const [module, { files, value, exported, type, without = [] }] of Object.entries(modules)) {
    const names = described.filter(({ role }) => !without.includes(role)).map(({ name }) => name);
    const imports = names.flatMap((name, at) =>
      files.map(([local, file]) => `import ${local.replaceAll("#", `${at}`)} from "../../plugins/${name}/${file}";\n`),
    );
    const members = names.map((name, at) => value(name).replaceAll("#", `${at}`)).join(", ");
    const all = members.startsWith('"') ? `{ ${members} }` : `[${members}]`;
    writeChanged(join(target, `${module}.js`), `${imports.join("")}\nexport const ${exported} = ${all};\n`);
    const union = names.map((name) => JSON.stringify(name)).join(" | ");
    writeChanged(join(target, `${module}.d.ts`), type.replaceAll("UNION", union));
  }
}

interface Module {
  /** The local name of each import and the plugin's file that it comes from; `#` is the plugin's number. */
  readonly files: readonly (readonly [local: string, file: string])[];
  /** The plugin's element of the exported list; `#` as above. */
  readonly value: (name: string) => string;
  readonly exported: string;
  /** Roles whose plugins are left out. */
  readonly without?: readonly Role[];
  /** The text of the declaration file. */
  readonly type: string;
}

const modules: Readonly<Record<string, Module>> = {
  descriptors: {
    files: [["{ descriptor as descriptor# }", "descriptor.ts"]],
    value: () => "descriptor#",
    exported: "descriptors",
    type: `import type { Descriptor } from "../../src/plugin/descriptor.ts";
export type PluginName = UNION;
export declare const descriptors: readonly (Descriptor & { readonly name: PluginName })[];
`,
  },
  configurations: {
    files: [
      ["{ schema as schema# }", "schema.ts"],
      ["{ parseConf as parseConf# }", "conf.ts"],
    ],
    value: (name) => `${JSON.stringify(name)}: { schema: schema#, parseConf: parseConf# }`,
    exported: "configurations",
    type: `import type { z } from "zod";
import type { JsonObject } from "../../src/plugin/plugin.ts";
export interface Configuration { readonly schema: z.ZodType; readonly parseConf: (document: JsonObject) => unknown }
export declare const configurations: Readonly<Record<UNION, Configuration>>;
`,
  },
  planners: {
    files: [
      ["{ planAdd as plan# }", "plan.ts"],
      ["{ parseConf as parseConf# }", "conf.ts"],
    ],
    without: ["ipam"],
    value: (name) => `${JSON.stringify(name)}: { planAdd: plan#, parseConf: parseConf# }`,
    exported: "planners",
    type: `import type { PlanAdd } from "../../src/plugin/planned.ts";
import type { ParseConf } from "../../src/plugin/plugin.ts";
export interface Planner<Conf> { readonly parseConf: ParseConf<Conf>; readonly planAdd: PlanAdd<Conf> }
export declare const planners: Readonly<Record<string, Planner<unknown>>>;
`,
  },
  programs: {
    files: [["plugin#", "main.ts"]],
    value: (name) => `${JSON.stringify(name)}: plugin#`,
    exported: "programs",
    type: `import type { Plugin } from "../../src/plugin/plugin.ts";
export declare const programs: Readonly<Record<UNION, Plugin<unknown>>>;
`,
  },
};

/** The descriptors in the order of a chain. Throws if a directory has no descriptor, or one with a different name. */
export async function pluginNames(root: string): Promise<readonly string[]> {
  return (await describedIn(root)).map(({ name }) => name);
}

async function describedIn(root: string): Promise<readonly Descriptor[]> {
  const directories = readdirSync(join(root, "plugins"));
  const described = await Promise.all(directories.map((directory) => descriptorIn(root, directory)));
  const rank = ({ role, sharesName, name }: Descriptor) => `${roles.indexOf(role)} ${sharesName ? 1 : 0} ${name}`;
  return described.sort((one, other) => (rank(one) < rank(other) ? -1 : 1));
}

async function descriptorIn(root: string, directory: string): Promise<Descriptor> {
  const path = join(root, "plugins", directory, "descriptor.ts");
  if (!existsSync(path)) throw new Error(`cannot list the plugins: plugins/${directory} has no descriptor.ts`);
  const { descriptor } = (await import(pathToFileURL(path).href)) as { readonly descriptor: Descriptor };
  if (descriptor.name === directory) return descriptor;
  throw new Error(`cannot list the plugins: plugins/${directory}/descriptor.ts describes "${descriptor.name}"`);
}

/** The sources, the document and the example of a new plugin. */
import type { Role } from "../../src/plugin/descriptor.ts";

export interface NewPlugin {
  readonly name: string;
  readonly role: Extract<Role, "main" | "chained">;
}

/** Path to text. */
export function newFiles(plugin: NewPlugin): Readonly<Record<string, string>> {
  const directory = `plugins/${plugin.name}`;
  return {
    [`${directory}/descriptor.ts`]: descriptor(plugin),
    [`${directory}/schema.ts`]: schema(plugin),
    [`${directory}/conf.ts`]: conf(plugin),
    [`${directory}/refusal.ts`]: refusal(plugin),
    [`${directory}/plan.ts`]: plan(plugin),
    [`${directory}/main.ts`]: main(plugin),
    [`${directory}/README.md`]: readme(plugin),
    [`conf-examples/10-${plugin.name}.conflist`]: `${JSON.stringify(example(plugin), undefined, 2)}\n`,
  };
}

/** `host-device` to `HostDevice`. */
function typeName({ name }: NewPlugin): string {
  return name.replace(/(^|-)(\w)/g, (_whole, _dash, letter: string) => letter.toUpperCase());
}

function descriptor({ name, role }: NewPlugin): string {
  const snippet = role === "main" ? '{ ipam: { type: "calico-ipam" } }' : "{}";
  return `/** \`${name}\` as everything else knows it. */
import type { Descriptor } from "../../src/plugin/descriptor.ts";

export const descriptor: Descriptor = {
  name: "${name}",
  role: "${role}",
  purpose: "not implemented",
  sharesName: true,
  traces: { outlive: false, endpoint: false, tables: [], hostInterfaces: [], devices: [], locks: [] },
  features: [],
  snippet: ${snippet},
  capabilities: [],
};
`;
}

function schema({ name }: NewPlugin): string {
  return `/** The configuration of \`${name}\`: nothing of its own. */
import * as z from "zod";
import { logKeys } from "../../src/plugin/schema.ts";

export const schema = z.object({ ...logKeys });
`;
}

function conf(plugin: NewPlugin): string {
  const { name } = plugin;
  return `/** \`${name}\`'s configuration. */
import type { z } from "zod";
import { validate } from "#validators/${name}";
import { confParser } from "../../src/cni/conf.ts";
import type { schema } from "./schema.ts";

export type ${typeName(plugin)}Conf = z.infer<typeof schema>;

export const parseConf = confParser<${typeName(plugin)}Conf>(validate);
`;
}

function refusal({ name }: NewPlugin): string {
  return `/** The answer of \`${name}\` to what it does not do. */
import { CniError, code } from "../../src/cni/error.ts";

export function notImplemented(operation: string): CniError {
  const errorCode = operation === "STATUS" ? code.pluginNotAvailable : code.refused;
  return new CniError(errorCode, \`cannot run \${operation}: plugin "${name}" is not implemented\`);
}
`;
}

function plan(plugin: NewPlugin): string {
  const type = `${typeName(plugin)}Conf`;
  return `/** What an ADD of \`${plugin.name}\` makes. */
import type { PlanAdd } from "../../src/plugin/planned.ts";
import type { ${type} } from "./conf.ts";
import { notImplemented } from "./refusal.ts";

export const planAdd: PlanAdd<${type}> = () => {
  throw notImplemented("ADD");
};
`;
}

function main(plugin: NewPlugin): string {
  const { name } = plugin;
  const operations = ["add", "check", "del", "gc", "status"].map(
    (operation) => `  ${operation}() {\n    throw notImplemented("${operation.toUpperCase()}");\n  },\n`,
  );
  return `/** \`${name}\`: not implemented. */
import { definePlugin } from "../../src/plugin/plugin.ts";
import { type ${typeName(plugin)}Conf, parseConf } from "./conf.ts";
import { notImplemented } from "./refusal.ts";

export default definePlugin<${typeName(plugin)}Conf>({
  name: "${name}",
  parseConf,

${operations.join("\n")}});
`;
}

function readme({ name }: NewPlugin): string {
  return `# ${name}

Not implemented: every operation but VERSION is refused.

<!-- keys:${name} -->
<!-- /keys -->
`;
}

function example({ name, role }: NewPlugin): object {
  const ipam = { type: "calico-ipam" };
  const plugins =
    role === "main" ? [{ type: name, ipam }] : [{ type: "calico", datastore_type: "file", ipam }, { type: name }];
  return { name: `${name}-network`, cniVersion: "1.0.0", cniVersions: ["0.3.1", "0.4.0", "1.0.0", "1.1.0"], plugins };
}

/**
 * Every store validates an object against its kind's schema before it returns it, because people edit these objects.
 *
 * The long lists of a block are not looked through, for each of its operations needs a few of their items (`ipam/model/block.ts` guards those).
 */
import { specTables } from "#validators/store";
import { findFault, type Schema } from "../schema/schema.ts";
import type { FieldFault } from "./invalid-object.ts";
import type { Kind } from "./object.ts";

/** Labels are what selectors ask for. */
const metadataTable: Schema = {
  properties: {
    labels: { type: "object", additionalProperties: { type: "string" } },
    annotations: { type: "object", additionalProperties: { type: "string" } },
  },
};

/** The first field that is not what it must be. */
export function objectFault(
  kind: string,
  { metadata, spec }: { readonly metadata: object; readonly spec: unknown },
): FieldFault | undefined {
  const table = (specTables as Readonly<Record<string, Schema>>)[kind];
  return (table && faultIn(table, spec as object, "spec")) ?? faultIn(metadataTable, metadata, "metadata");
}

/** Asks for what the table names, and passes over all else: each operation of a pod decodes a few objects. */
function faultIn({ properties = {}, required = [] }: Schema, value: object, root: string): FieldFault | undefined {
  for (const key in properties) {
    const found = (value as Readonly<Record<string, unknown>>)[key];
    const schema = properties[key] ?? {};
    if (found === undefined && !required.includes(key)) continue;
    if (schema.type === typeof found && typeof found !== "object") continue;
    const fault = findFault(schema, found);
    if (fault === undefined) continue;
    const dot = fault.path === "" || fault.path.startsWith("[") ? "" : ".";
    return { field: `${root}.${key}${dot}${fault.path}`, wanted: fault.wanted, found: fault.found };
  }
  return undefined;
}

export type SpecTables = Readonly<Partial<Record<Kind, Schema>>>;

/**
 * Every store validates an object against its kind's schema before it returns it, because people edit these objects.
 *
 * It does not validate the long lists of a block, because an operation needs only a few of their items (`ipam/model/block.ts` checks those).
 */
import { specTables } from "#validators/store";
import { findFault, type Schema } from "../schema/schema.ts";
import type { FieldFault } from "./invalid-object.ts";
import type { Kind } from "./object.ts";

/** Selectors match labels. */
const metadataTable: Schema = {
  properties: {
    labels: { type: "object", additionalProperties: { type: "string" } },
    annotations: { type: "object", additionalProperties: { type: "string" } },
  },
};

/** The first invalid field. */
export function objectFault(
  kind: string,
  { metadata, spec }: { readonly metadata: object; readonly spec: unknown },
): FieldFault | undefined {
  const table = (specTables as Readonly<Record<string, Schema>>)[kind];
  return (table && faultIn(table, spec as object, "spec")) ?? faultIn(metadataTable, metadata, "metadata");
}

/** Checks only the fields in the table: each operation on a pod decodes a few objects. */
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

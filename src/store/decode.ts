/**
 * What every store makes sure of before it hands an object up: that it is what its kind is. People write these objects by hand.
 *
 * The long lists of a block are not looked through, for each of its operations needs a few of their items (`ipam/model/block.ts` guards those).
 */
import { specTables } from "#validators/store";
import { findFault, type Schema } from "../schema/schema.ts";
import type { FieldFault } from "./invalid-object.ts";
import type { Kind } from "./object.ts";

/** Labels are what selectors ask for. */
const metadata: Schema = {
  properties: {
    labels: { type: "object", additionalProperties: { type: "string" } },
    annotations: { type: "object", additionalProperties: { type: "string" } },
  },
};

/** The first field that is not what it must be. */
export function objectFault(
  kind: string,
  object: { readonly metadata: unknown; readonly spec: unknown },
): FieldFault | undefined {
  const table = (specTables as Readonly<Record<string, Schema>>)[kind];
  const inSpec = table && findFault(table, object.spec);
  if (inSpec !== undefined) return { field: `spec.${inSpec.path}`, wanted: inSpec.wanted, found: inSpec.found };
  const inMetadata = findFault(metadata, object.metadata);
  if (inMetadata === undefined) return undefined;
  return { field: `metadata.${inMetadata.path}`, wanted: inMetadata.wanted, found: inMetadata.found };
}

export type SpecTables = Readonly<Partial<Record<Kind, Schema>>>;

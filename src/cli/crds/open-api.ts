/** A schema of zod's as Kubernetes takes it: OpenAPI v3 in its "structural" form, without null, unions and closed objects. */
import * as z from "zod";

export interface OpenApi {
  readonly type?: string;
  readonly format?: string;
  readonly enum?: readonly unknown[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly maxLength?: number;
  readonly nullable?: true;
  readonly default?: unknown;
  readonly properties?: Readonly<Record<string, OpenApi>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: OpenApi;
  readonly items?: OpenApi;
  readonly "x-kubernetes-preserve-unknown-fields"?: true;
  readonly "x-kubernetes-validations"?: readonly object[];
}

/** The part of JSON Schema that zod's schemas give. */
interface JsonSchema extends Omit<OpenApi, "type" | "properties" | "items" | "additionalProperties"> {
  readonly type?: string | readonly string[];
  readonly anyOf?: readonly JsonSchema[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly items?: JsonSchema;
  readonly additionalProperties?: JsonSchema | boolean;
}

export function openApiOf(schema: z.ZodType): OpenApi {
  return structural(z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }) as JsonSchema);
}

function structural(schema: JsonSchema): OpenApi {
  if (schema.anyOf !== undefined) return union(schema.anyOf);
  if (Array.isArray(schema.type)) return union(schema.type.map((type: string) => ({ ...schema, type })));
  if (schema.type === "array") return { type: "array", items: structural(schema.items ?? {}) };
  if (schema.type === "object") return object(schema);
  if (schema.type === "integer") return integer(schema);
  const { type, enum: values } = schema;
  if (typeof type !== "string") return { "x-kubernetes-preserve-unknown-fields": true };
  return { type, ...(values && { enum: values }) };
}

/** A value or null; or an integer of any size, which zod also takes as a bigint. */
function union(all: readonly JsonSchema[]): OpenApi {
  const [first = {}, ...others] = all.filter(({ type }) => type !== "null");
  const isNullable = all.some(({ type }) => type === "null");
  const isLarge = others.length > 0 && first.type === "integer";
  const inner = isLarge ? { type: "integer", format: "int64" } : structural(first);
  return isNullable && inner.type === "integer" ? { ...inner, nullable: true } : inner;
}

function object({ properties, required = [], additionalProperties }: JsonSchema): OpenApi {
  if (properties === undefined || Object.keys(properties).length === 0) {
    const isOpen = typeof additionalProperties !== "object" || Object.keys(additionalProperties).length === 0;
    if (isOpen) return { type: "object", "x-kubernetes-preserve-unknown-fields": true };
    return { type: "object", additionalProperties: structural(additionalProperties as JsonSchema) };
  }
  const isOpen = additionalProperties !== false;
  return {
    type: "object",
    properties: Object.fromEntries(Object.entries(properties).map(([name, one]) => [name, structural(one)])),
    ...(required.length > 0 && { required }),
    ...(isOpen && { "x-kubernetes-preserve-unknown-fields": true }),
  };
}

/** Without the bounds of JavaScript's numbers. */
function integer({ minimum, maximum }: JsonSchema): OpenApi {
  return {
    type: "integer",
    ...(minimum !== undefined && minimum > Number.MIN_SAFE_INTEGER && { minimum }),
    ...(maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER && { maximum }),
  };
}

/**
 * The part of JSON Schema that configurations need, and a validator that interprets it.
 *
 * `scripts/validators.ts` writes a plugin's zod schema in this form. Interpreted rather than compiled to code: of one plugin's keys
 * Ajv makes some 25 KB of code, this table has 2 KB, and loading bytecode is the larger part of a plugin's start.
 * Ajv is its oracle in the tests.
 */

export interface Schema {
  readonly type?: "object" | "array" | "string" | "integer" | "number" | "boolean";
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  /** Of the keys that `properties` does not name. */
  readonly additionalProperties?: Schema;
  readonly items?: Schema;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly enum?: readonly (string | number | boolean)[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly pattern?: string;
  readonly anyOf?: readonly Schema[];
}

/**
 * The first fault of a value: `"mtu" must be an integer, not "1500"`; `undefined` when it has none.
 * `path` names the value itself, empty for a whole document.
 */
export function faultOf(schema: Schema, value: unknown, path = ""): string | undefined {
  if (schema.anyOf !== undefined) {
    const fits = schema.anyOf.some((alternative) => faultOf(alternative, value, path) === undefined);
    return fits ? undefined : mustBe(path, schema.anyOf.map(describe).join(" or "), value);
  }
  if (!fitsType(schema, value) || (schema.enum !== undefined && !schema.enum.includes(value as string))) {
    return mustBe(path, describe(schema), value);
  }
  if (typeof value === "number") return faultOfNumber(schema, value, path);
  if (typeof value === "string") return faultOfString(schema, value, path);
  if (Array.isArray(value)) return faultOfArray(schema, value, path);
  if (isObject(value)) return faultOfObject(schema, value, path);
  return undefined;
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function fitsType({ type }: Schema, value: unknown): boolean {
  if (type === undefined) return true;
  if (type === "object") return isObject(value);
  if (type === "array") return Array.isArray(value);
  // JSON numbers beyond 2^53 lost digits when they were read: no integer that one could trust.
  if (type === "integer") return Number.isSafeInteger(value);
  return typeof value === type;
}

function faultOfNumber({ minimum, maximum }: Schema, value: number, path: string): string | undefined {
  if (minimum !== undefined && value < minimum) return mustBe(path, `${minimum} or more`, value);
  if (maximum !== undefined && value > maximum) return mustBe(path, `${maximum} or less`, value);
  return undefined;
}

function faultOfString({ minLength, maxLength, pattern }: Schema, value: string, path: string): string | undefined {
  if (minLength !== undefined && value.length < minLength) {
    return minLength === 1
      ? `${named(path)} must not be empty`
      : mustBe(path, `${minLength} characters or more`, value);
  }
  if (maxLength !== undefined && value.length > maxLength)
    return mustBe(path, `${maxLength} characters or less`, value);
  if (pattern !== undefined && !new RegExp(pattern, "u").test(value)) return mustBe(path, `like ${pattern}`, value);
  return undefined;
}

function faultOfArray(
  { items, minItems, maxItems }: Schema,
  value: readonly unknown[],
  path: string,
): string | undefined {
  if (minItems !== undefined && value.length < minItems) return mustBe(path, `${minItems} items or more`, value);
  if (maxItems !== undefined && value.length > maxItems) return mustBe(path, `${maxItems} items or less`, value);
  if (items === undefined) return undefined;
  for (const [index, item] of value.entries()) {
    const fault = faultOf(items, item, `${path}[${index}]`);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

function faultOfObject(schema: Schema, value: Readonly<Record<string, unknown>>, path: string): string | undefined {
  const { properties = {}, required = [], additionalProperties } = schema;
  for (const key of required) {
    if (!Object.hasOwn(value, key)) return `${named(join(path, key))} is missing`;
  }
  for (const key of Object.keys(value)) {
    const of = Object.hasOwn(properties, key) ? properties[key] : additionalProperties;
    const fault = of && faultOf(of, value[key], join(path, key));
    if (fault !== undefined) return fault;
  }
  return undefined;
}

const typeNames = {
  object: "an object",
  array: "an array",
  string: "a string",
  integer: "an integer",
  number: "a number",
  boolean: "a boolean",
} as const;

function describe(schema: Schema): string {
  if (schema.anyOf !== undefined) return schema.anyOf.map(describe).join(" or ");
  if (schema.enum !== undefined) return schema.enum.map((value) => JSON.stringify(value)).join(" or ");
  return schema.type === undefined ? "any value" : typeNames[schema.type];
}

function mustBe(path: string, wanted: string, found: unknown): string {
  return `${named(path)} must be ${wanted}, not ${shown(found)}`;
}

function named(path: string): string {
  return path === "" ? "the document" : `"${path}"`;
}

function join(path: string, key: string): string {
  return path === "" ? key : `${path}.${key}`;
}

/** A value in a message: as JSON where it is short. */
function shown(value: unknown): string {
  if (Array.isArray(value)) return value.length === 0 ? "[]" : "an array";
  if (isObject(value)) return "an object";
  const text = JSON.stringify(value);
  return text.length <= 60 ? text : `${text.slice(0, 60)}…`;
}

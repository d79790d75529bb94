/**
 * A validator that interprets the part of JSON Schema that configurations and stored objects need.
 *
 * `scripts/validators.ts` writes a plugin's zod schema in this form. The schema is interpreted, not compiled: for one plugin Ajv generates
 * some 25 KB of code, this table has 2 KB, and loading bytecode is the larger part of a plugin's start. The tests use Ajv as an oracle.
 */

export interface Schema {
  /** `bigint`: an integer beyond 2^53, from a lossless parser. */
  readonly type?: "object" | "array" | "string" | "integer" | "bigint" | "number" | "boolean" | "null";
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  /** The schema of keys that `properties` does not name. */
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

/** The first fault of a value: `"mtu" must be an integer, not "1500"`; `undefined` if it is valid. `root` names the value itself. */
export function faultOf(schema: Schema, value: unknown, root = ""): string | undefined {
  const fault = faultAt(schema, value, root);
  if (fault === undefined) return undefined;
  return fault.path === "" ? fault.text : `"${fault.path}" ${fault.text}`;
}

/** The same in two: `mtu` and `must be an integer, not "1500"`. */
export function faultAt(
  schema: Schema,
  value: unknown,
  root: string,
): { readonly path: string; readonly text: string } | undefined {
  const fault = findFault(schema, value);
  return fault && { path: root === "" ? fault.path : under(root, fault).path, text: textOf(fault) };
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The path is built while returning, so that a valid value costs no text. */
export interface Fault {
  /** `runtimeConfig.portMappings[0].hostPort`; empty for the value itself. */
  readonly path: string;
  /** Follows "must be". */
  readonly wanted: string;
  /** `undefined` for a missing key. */
  readonly found: unknown;
}

function textOf({ wanted, found }: Fault): string {
  if (found === undefined) return "is missing";
  return found === "" && wanted === notEmpty ? "must not be empty" : `must be ${wanted}, not ${shown(found)}`;
}

const notEmpty = "not empty";

/** The first fault of a value; `undefined` if it is valid. */
export function findFault(schema: Schema, value: unknown): Fault | undefined {
  const { anyOf, enum: allowed } = schema;
  if (anyOf !== undefined) {
    const fits = anyOf.some((alternative) => findFault(alternative, value) === undefined);
    return fits ? undefined : mustBe(describe(schema), value);
  }
  if (!fitsType(schema, value) || (allowed !== undefined && !allowed.includes(value as string))) {
    return mustBe(describe(schema), value);
  }
  if (typeof value === "number") return findInNumber(schema, value);
  if (typeof value === "string") return findInString(schema, value);
  if (Array.isArray(value)) return findInArray(schema, value);
  if (isObject(value)) return findInObject(schema, value);
  return undefined;
}

function fitsType({ type }: Schema, value: unknown): boolean {
  if (type === undefined) return true;
  if (type === "null") return value === null;
  if (type === "object") return isObject(value);
  if (type === "array") return Array.isArray(value);
  // JSON numbers beyond 2^53 lost digits when they were parsed, so they are not exact integers.
  if (type === "integer") return Number.isSafeInteger(value);
  return typeof value === type;
}

function findInNumber({ minimum, maximum }: Schema, value: number): Fault | undefined {
  if (minimum !== undefined && value < minimum) return mustBe(`${minimum} or more`, value);
  if (maximum !== undefined && value > maximum) return mustBe(`${maximum} or less`, value);
  return undefined;
}

function findInString({ minLength, maxLength, pattern }: Schema, value: string): Fault | undefined {
  if (minLength !== undefined && value.length < minLength) {
    return mustBe(minLength === 1 ? notEmpty : `${minLength} characters or more`, value);
  }
  if (maxLength !== undefined && value.length > maxLength) return mustBe(`${maxLength} characters or less`, value);
  if (pattern !== undefined && !new RegExp(pattern, "u").test(value)) return mustBe(`like ${pattern}`, value);
  return undefined;
}

function findInArray({ items, minItems, maxItems }: Schema, value: readonly unknown[]): Fault | undefined {
  if (minItems !== undefined && value.length < minItems) return mustBe(`${minItems} items or more`, value);
  if (maxItems !== undefined && value.length > maxItems) return mustBe(`${maxItems} items or less`, value);
  if (items === undefined) return undefined;
  for (let index = 0; index < value.length; index++) {
    const fault = findFault(items, value[index]);
    if (fault !== undefined) return under(`[${index}]`, fault);
  }
  return undefined;
}

function findInObject(schema: Schema, value: Readonly<Record<string, unknown>>): Fault | undefined {
  const { properties, required, additionalProperties } = schema;
  const missing = required?.find((key) => !Object.hasOwn(value, key));
  if (missing !== undefined) {
    return { path: missing, wanted: describe(properties?.[missing] ?? {}), found: undefined };
  }
  for (const key of Object.keys(value)) {
    const of = properties !== undefined && Object.hasOwn(properties, key) ? properties[key] : additionalProperties;
    const fault = of && findFault(of, value[key]);
    if (fault !== undefined) return under(key, fault);
  }
  return undefined;
}

function under(key: string, { path, ...rest }: Fault): Fault {
  const dot = path === "" || path.startsWith("[") ? "" : ".";
  return { path: `${key}${dot}${path}`, ...rest };
}

const typeNames = {
  object: "an object",
  array: "an array",
  string: "a string",
  integer: "an integer",
  bigint: "an integer",
  number: "a number",
  boolean: "a boolean",
  null: "null",
} as const;

function describe(schema: Schema): string {
  if (schema.anyOf !== undefined) return [...new Set(schema.anyOf.map(describe))].join(" or ");
  if (schema.enum !== undefined) return schema.enum.map((value) => JSON.stringify(value)).join(" or ");
  return schema.type === undefined ? "any value" : typeNames[schema.type];
}

function mustBe(wanted: string, found: unknown): Fault {
  return { path: "", wanted, found };
}

/** A value in a message: JSON if it is short. */
function shown(value: unknown): string {
  if (Array.isArray(value)) return value.length === 0 ? "[]" : "an array";
  if (isObject(value)) return "an object";
  const text = JSON.stringify(value);
  return text.length <= 60 ? text : `${text.slice(0, 60)}…`;
}

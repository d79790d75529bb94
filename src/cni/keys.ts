/**
 * The spelling of keys. Go's decoder matches keys case-insensitively, and runtimes rely on it (containerd sends `HostPort`). So the keys of
 * a configuration are changed to the schema's spelling before it is read. The last of several spellings wins, `null` is the same as absent,
 * and unknown keys stay as they are (except `__proto__`, which is dropped).
 */
import { isObject, type Schema } from "../schema/schema.ts";

/** A copy of the value in the schema's spelling, also inside known objects and arrays. */
export function foldKeys(schema: Schema, value: unknown): unknown {
  if (schema.anyOf !== undefined) {
    const type = Array.isArray(value) ? "array" : "object";
    const alternative =
      isObject(value) || Array.isArray(value) ? schema.anyOf.find((one) => one.type === type) : undefined;
    return alternative === undefined ? value : foldKeys(alternative, value);
  }
  if (Array.isArray(value)) {
    const { items } = schema;
    return items === undefined ? value : value.map((item) => foldKeys(items, item));
  }
  return isObject(value) ? foldObject(schema, value) : value;
}

function foldObject(schema: Schema, object: Readonly<Record<string, unknown>>): unknown {
  const { properties = {}, additionalProperties } = schema;
  if (schema.properties === undefined && additionalProperties === undefined) return object;
  const folded: Record<string, unknown> = {};
  for (const key of Object.keys(object)) {
    // An assignment to this key would set the prototype instead of a property.
    if (key === "__proto__") continue;
    const value = object[key];
    const spelled = spell(properties, key);
    const of = spelled === undefined ? additionalProperties : properties[spelled];
    if (of === undefined) folded[key] = value;
    else if (typeof value !== "object") folded[spelled ?? key] = value;
    else if (value !== null) folded[spelled ?? key] = foldKeys(of, value);
  }
  return folded;
}

/** The schema's spelling of a key; `undefined` if it does not have the key. */
function spell(properties: Readonly<Record<string, Schema>>, key: string): string | undefined {
  if (Object.hasOwn(properties, key)) return key;
  // Most unknown keys differ in length from all known ones.
  if (((lengths.get(properties) ?? learnLengths(properties)) & bitOf(key)) === 0) return undefined;
  const folded = key.toLowerCase();
  for (const known in properties) {
    if (known.length === folded.length && known.toLowerCase() === folded) return known;
  }
  return undefined;
}

/** For each table of properties, a bit mask of the lengths of its keys. */
const lengths = new WeakMap<object, number>();

/** Computes the mask when the module is evaluated, that is, during the build. */
export function learnKeys<S extends Schema>(schema: S): S {
  const { properties, additionalProperties, items, anyOf = [] } = schema;
  if (properties !== undefined) learnLengths(properties);
  for (const inner of [...Object.values(properties ?? {}), additionalProperties, items, ...anyOf]) {
    if (inner !== undefined) learnKeys(inner);
  }
  return schema;
}

function learnLengths(properties: Readonly<Record<string, Schema>>): number {
  let all = 0;
  for (const key in properties) all |= bitOf(key);
  lengths.set(properties, all);
  return all;
}

function bitOf({ length }: string): number {
  return 1 << Math.min(length, 31);
}

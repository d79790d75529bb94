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
  const folded = key.toLowerCase();
  for (const known in properties) {
    if (known.length === folded.length && known.toLowerCase() === folded) return known;
  }
  return undefined;
}

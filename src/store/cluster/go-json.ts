/**
 * JSON as Go's encoder writes it, so that our objects equal Calico's byte for byte: the fields of a struct in the order of the struct, the keys
 * of a map sorted, `<`, `>` and `&` escaped. 64-bit integers are exact.
 */
import { readValue } from "../json-text.ts";

/** A `Map` becomes an object in the map's order; a plain object would put keys that look like an index first. Omits undefined members. */
export function goJson(value: unknown): string {
  const read = readValue(value);
  if (typeof read === "bigint") return read.toString();
  if (typeof read === "string") return JSON.stringify(read).replace(/[<>&\u2028\u2029]/g, escaped);
  if (typeof read !== "object" || read === null) return JSON.stringify(read);
  if (Array.isArray(read)) return `[${read.map((item) => goJson(item ?? null)).join()}]`;
  const members = [...(read instanceof Map ? read : Object.entries(read))];
  const written = members.filter(([, member]) => member !== undefined);
  return `{${written.map(([name, member]) => `${goJson(name)}:${goJson(member)}`).join()}}`;
}

/** Sorted by key, as Go writes a map. */
export function inOrder(record: object): ReadonlyMap<string, unknown> {
  return new Map(Object.entries(record).sort(([one], [other]) => (one < other ? -1 : 1)));
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

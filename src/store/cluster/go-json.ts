/**
 * JSON as Go's encoder writes it, so that an object of ours is Calico's byte by byte: members of a struct in the order of the struct, members
 * of a map in the order of their names, `<`, `>` and `&` escaped. 64-bit integers are exact.
 */
import { readValue } from "../json-text.ts";

/** A `Map` is an object whose members are in that order: a plain one has those that look like an index first. Undefined members are left out. */
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

/** As Go writes a map. */
export function inOrder(record: object): ReadonlyMap<string, unknown> {
  return new Map(Object.entries(record).sort(([one], [other]) => (one < other ? -1 : 1)));
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

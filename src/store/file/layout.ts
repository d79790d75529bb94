/**
 * The layout of an object's file: readable with `cat`, comparable with `git diff`, and half the size of indented JSON.
 *
 *     {
 *     "kind": "IPAMBlock",                     one line per key,
 *     "metadata": {"name":"10-0-0-0-26"},
 *     "spec": {
 *       "cidr": "10.0.0.0/26",                 per key of the spec,
 *       "attributes": [
 *         {"handle_id":"net.a"},               and per item of the spec's list of objects
 *         {"handle_id":"net.b"}
 *       ]
 *     }
 *     }
 *
 * **Any other layout of the same JSON is accepted as well**: people edit these files. In this layout, the items of such a list stay text, and so
 * do a block's sequence numbers: 64 integers of 19 digits, and an operation needs about one of them.
 */
import { parseJson, stringifyJson } from "../json.ts";
import { JsonText } from "../json-text.ts";
import type { StoredObject } from "../object.ts";

const listStart = '": [\n    {';
const listEnd = "}\n  ]";
const lineStart = "\n    {";
const numbersKey = "sequenceNumberForAllocation";
const numbersStart = `\n  "${numbersKey}": `;

export function formatObject(object: StoredObject<unknown, string>): string {
  let text = "{\n";
  for (const key in object) {
    const value = object[key];
    if (value === undefined) continue;
    if (text.length > 2) text += ",\n";
    text += `${JSON.stringify(key)}: ${key === "spec" ? formatSpec(value as object) : stringifyJson(value)}`;
  }
  return `${text}\n}\n`;
}

/** The parsed object, with the list's items as `JsonText` if the text has the layout above. Throws `SyntaxError`. */
export function parseObject(text: string): unknown {
  const start = text.indexOf(listStart);
  if (start < 0) return parseJson(text);
  const end = text.indexOf(listEnd, start);
  const items = splitList(text.slice(start + listStart.length - 1, end + 1));
  if (end < 0 || items === undefined) return parseJson(text);
  const rest = `${text.slice(0, start)}": [${text.slice(end + listEnd.length - 1)}`;
  const numbers = lineOfNumbers(rest);
  const object = parseJson(
    numbers === undefined
      ? rest
      : `${rest.slice(0, numbers.start)}{}${rest.slice(numbers.start + numbers.text.length)}`,
  );
  const list = listAt(object, text.slice(text.lastIndexOf('"', start - 1) + 1, start));
  if (list === undefined) return parseJson(text);
  for (const item of items) list.push(new JsonText(item));
  if (numbers === undefined) return object;
  const { spec } = object as { readonly spec: Record<string, unknown> };
  // The line may belong to an object other than the spec.
  if (!isEmptyObject(spec[numbersKey])) return parseJson(text);
  spec[numbersKey] = new JsonText(numbers.text);
  return object;
}

function isEmptyObject(value: unknown): boolean {
  return typeof value === "object" && value !== null && !Array.isArray(value) && Object.keys(value).length === 0;
}

/** `undefined` if an item's line may contain nested objects or a string with escapes. */
function splitList(list: string): readonly string[] | undefined {
  if (list.includes("\\")) return undefined;
  const parts = list.split("},");
  for (let i = 1; i < parts.length; i++) {
    const part = parts[i] ?? "";
    if (!part.startsWith(lineStart)) return undefined;
    parts[i] = part.slice(lineStart.length - 1);
    parts[i - 1] += "}";
  }
  return parts;
}

/** The spec's list with this name, if it is empty. */
function listAt(object: unknown, name: string): unknown[] | undefined {
  const { spec } = (object ?? {}) as { readonly spec?: Readonly<Record<string, unknown>> };
  const list = spec?.[name];
  return Array.isArray(list) && list.length === 0 ? list : undefined;
}

/** The record of sequence numbers, if it is on one line; `start` is its index in the text. */
function lineOfNumbers(text: string): { readonly start: number; readonly text: string } | undefined {
  const start = text.indexOf(numbersStart) + numbersStart.length;
  const end = text.indexOf("}", start) + 1;
  if (start < numbersStart.length || text.charAt(start) !== "{" || end === 0) return undefined;
  const numbers = text.slice(start, end);
  const isPlain = numbers.indexOf("{", 1) < 0 && !numbers.includes("\n") && !numbers.includes("\\");
  return isPlain ? { start, text: numbers } : undefined;
}

function formatSpec(spec: object): string {
  let text = "{\n";
  for (const [key, value] of Object.entries(spec)) {
    if (value === undefined) continue;
    if (text.length > 2) text += ",\n";
    text += `  ${JSON.stringify(key)}: ${formatValue(value)}`;
  }
  return `${text}\n}`;
}

function formatValue(value: unknown): string {
  if (value instanceof JsonText) return value.text;
  return isListOfObjects(value) ? formatList(value) : stringifyJson(value);
}

function isListOfObjects(value: unknown): value is readonly object[] {
  return Array.isArray(value) && typeof value[0] === "object" && value[0] !== null;
}

function formatList(items: readonly unknown[]): string {
  const texts = items.map((item) => (item instanceof JsonText ? item.text : stringifyJson(item)));
  return `[\n    ${texts.join(",\n    ")}\n  ]`;
}

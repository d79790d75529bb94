/**
 * Objects as JSON and YAML, integers of any size exact in both directions: a block's sequence numbers do not fit JavaScript's numbers.
 */
import { parseAllDocuments, stringify } from "yaml";
import { stringifyJson } from "../../store/json.ts";
import { JsonText } from "../../store/json-text.ts";

export type Format = "yaml" | "json";

export function formatDocument(value: unknown, format: Format): string {
  const plain = withoutText(value);
  return format === "json"
    ? `${indented(plain, "")}\n`
    : stringify(plain, { lineWidth: 0, aliasDuplicateObjects: false });
}

/** The documents of a YAML text; JSON is valid YAML. Throws `SyntaxError` with line and column. */
export function parseDocuments(text: string): readonly unknown[] {
  const documents: unknown[] = [];
  for (const document of parseAllDocuments(text, { intAsBigInt: true })) {
    const [error] = document.errors;
    if (error !== undefined) throw new SyntaxError(error.message.split("\n")[0]?.replace(/:$/, ""));
    const value = withNumbers(document.toJS());
    if (value !== null && value !== undefined) documents.push(value);
  }
  return documents;
}

/** Parses items that the store left as text. */
export function withoutText(value: unknown): unknown {
  if (value instanceof JsonText) return value.value();
  if (Array.isArray(value)) return value.map(withoutText);
  return isRecord(value) ? mapValues(value, withoutText) : value;
}

/** Integers become numbers if they fit exactly. */
function withNumbers(value: unknown): unknown {
  if (typeof value === "bigint") return isSafe(value) ? Number(value) : value;
  if (Array.isArray(value)) return value.map(withNumbers);
  return isRecord(value) ? mapValues(value, withNumbers) : value;
}

function isSafe(value: bigint): boolean {
  return value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER);
}

/** Lists of plain values stay on one line: a block has 64 allocations. */
function indented(value: unknown, indent: string): string {
  const inner = `${indent}  `;
  if (Array.isArray(value)) {
    if (!value.some((item) => typeof item === "object" && item !== null))
      return `[${value.map(stringifyJson).join(", ")}]`;
    return `[\n${value.map((item) => inner + indented(item, inner)).join(",\n")}\n${indent}]`;
  }
  if (!isRecord(value)) return stringifyJson(value);
  const lines = Object.entries(value)
    .filter(([, item]) => item !== undefined)
    .map(([key, item]) => `${inner}${JSON.stringify(key)}: ${indented(item, inner)}`);
  return lines.length === 0 ? "{}" : `{\n${lines.join(",\n")}\n${indent}}`;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function mapValues(record: Readonly<Record<string, unknown>>, change: (value: unknown) => unknown): object {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value)]));
}

/** Texts of store files: compares our reader of long integers with the engine's, and the layout with its shortcuts with plain JSON. */

import { formatObject, parseObject } from "../../../src/store/file/layout.ts";
import { parseJson, stringifyJson } from "../../../src/store/json.ts";
import { JsonText } from "../../../src/store/json-text.ts";
import type { StoredObject } from "../../../src/store/object.ts";
import { Input } from "../input.ts";
import { Finding, requireSame } from "../judge.ts";

export function main(bytes: Uint8Array): void {
  const text = new Input(bytes).text();
  const value = attempt(() => parseJson(text));
  const plain = attempt(() => JSON.parse(text));
  if ("failed" in value) {
    if (!("failed" in plain) && !/\uffff|\\uffff/i.test(text)) throw new Finding("refused what is JSON");
    return;
  }
  if ("failed" in plain) throw new Finding("took what is no JSON");
  requireSame("parseJson", rounded(value.read), plain.read);
  requireSame("stringifyJson", asWritten(parseJson(stringifyJson(value.read))), asWritten(value.read));

  const object = attempt(() => whole(parseObject(text)));
  if ("failed" in object) throw new Finding("parseObject refused what parseJson takes");
  requireSame("parseObject", object.read, value.read);
  if (typeof value.read !== "object" || value.read === null || !("spec" in value.read)) return;
  if (typeof value.read.spec !== "object" || value.read.spec === null || Array.isArray(value.read)) return;
  if (Array.isArray(value.read.spec)) return;
  const formatted = formatObject(parseObject(text) as StoredObject);
  requireSame("formatObject", asWritten(whole(parseObject(formatted))), asWritten(value.read));
}

type Attempt = { readonly read: unknown } | { readonly failed: true };

function attempt(read: () => unknown): Attempt {
  try {
    return { read: read() };
  } catch (error) {
    // Deep nesting exhausts the engine's stack, also in its own parser.
    if (error instanceof SyntaxError || (error as Error).message.includes("stack overflow")) return { failed: true };
    throw error;
  }
}

/** Long integers as `JSON.parse` rounds them. */
function rounded(value: unknown): unknown {
  if (typeof value === "bigint") return Number(value);
  return mapped(value, rounded);
}

/** The value of `1e17` or `100000000000000000.5` after writing: it has neither point nor exponent, so it is read as a long integer. */
function asWritten(value: unknown): unknown {
  if (typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value)) {
    const digits = String(value);
    return digits.includes("e") ? value : BigInt(digits);
  }
  return mapped(value, asWritten);
}

/** Parses everything that is kept as text until first use. */
function whole(value: unknown): unknown {
  return value instanceof JsonText ? whole(value.value()) : mapped(value, whole);
}

function mapped(value: unknown, map: (item: unknown) => unknown): unknown {
  if (Array.isArray(value)) return value.map(map);
  if (typeof value !== "object" || value === null) return value;
  const copy: Record<string, unknown> = Object.create(null);
  for (const key of Object.keys(value)) copy[key] = map((value as Record<string, unknown>)[key]);
  return copy;
}

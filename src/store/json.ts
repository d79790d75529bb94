/**
 * Lossless JSON: integers beyond 2^53 are `bigint`; everything else is as in `JSON.parse` and `JSON.stringify`.
 *
 * A block's sequence numbers are nanoseconds since the epoch, about 1.7e18. `JSON.parse` rounds them to a multiple of 256: adding 1 would have no
 * effect, and the protection of reused addresses would be lost.
 *
 *     text   {"sequenceNumber":1690113884806720496}
 *     parse  quotes the digits behind a mark, runs the engine's own parser, converts marked strings to bigint
 *     write  converts each bigint to a marked string, runs the engine's own writer, removes the quotes and the mark
 *
 * The mark is U+FFFF, which Unicode will never assign to a character; a text that contains it is rejected.
 */

const mark = "\uffff";
const markedString = `"${mark}`;
/** Integers with fewer digits always fit a number exactly. */
const manyDigits = 16;
const integer = /(?<![\d.eE+-])-?[1-9]\d{15,}(?![\d.eE])/g;

/** Throws `SyntaxError`, as `JSON.parse` does. */
export function parseJson(text: string): unknown {
  const escapes = text.includes("\\");
  if (text.includes(mark) || (escapes && /\\uffff/i.test(text))) {
    throw new SyntaxError("it contains U+FFFF, which is not a character");
  }
  const pieces = text.split('"');
  const marked = markIntegers(pieces, escapes);
  if (marked === 0) return JSON.parse(text);
  const root = { value: JSON.parse(pieces.join('"')) };
  // An unused mark was a duplicate key's value, or a key itself, which is not JSON.
  if (restore(root, marked) > 0) JSON.parse(text);
  return root.value;
}

/** Throws `TypeError` if the value contains an integer and also a string that starts with U+FFFF. */
export function stringifyJson(value: unknown): string {
  if (typeof value === "bigint") return value.toString();
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  if (isRecordOfIntegers(value)) return stringifyIntegers(value);
  try {
    return JSON.stringify(value);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return stringifyMarked(value);
  }
}

/** For instance a block's sequence numbers, one for each of its addresses. */
function isRecordOfIntegers(value: object): value is Readonly<Record<string, bigint>> {
  if (Array.isArray(value)) return false;
  let found = false;
  for (const key in value) {
    if (typeof (value as Readonly<Record<string, unknown>>)[key] !== "bigint") return false;
    found = true;
  }
  return found;
}

function stringifyIntegers(record: Readonly<Record<string, bigint>>): string {
  let text = "";
  for (const key in record) text += `${text === "" ? "{" : ","}${JSON.stringify(key)}:${record[key]}`;
  return `${text}}`;
}

/** For integers at any place. */
function stringifyMarked(value: unknown): string {
  let integers = 0;
  // The engine's writer calls this method of a bigint, and throws if it is missing.
  Object.defineProperty(BigInt.prototype, "toJSON", {
    configurable: true,
    value(this: bigint) {
      integers++;
      return mark + this.toString();
    },
  });
  try {
    return unquote(JSON.stringify(value), integers);
  } finally {
    Reflect.deleteProperty(BigInt.prototype, "toJSON");
  }
}

/** Marks the long integers of a text that was split at its quotes; leaves the insides of strings alone. Returns how many. */
function markIntegers(pieces: string[], escapes: boolean): number {
  let marked = 0;
  for (let i = 0; i < pieces.length; i += 2) {
    const piece = pieces[i] ?? "";
    if (piece.length >= manyDigits) marked += markPiece(pieces, i, piece);
    // Without escapes, every other piece is a string. With escapes, a string may have been split, and ends at a later piece.
    if (escapes) while (endsInEscape(pieces[i + 1] ?? "")) i++;
  }
  return marked;
}

function markPiece(pieces: string[], index: number, piece: string): number {
  const end = endOfLoneInteger(piece);
  if (end !== undefined) {
    pieces[index] = `:${markedString}${piece.slice(1, end)}"${piece.slice(end)}`;
    return 1;
  }
  if (!/\d{16}/.test(piece)) return 0;
  let marked = 0;
  pieces[index] = piece.replace(integer, (digits) => {
    marked++;
    return `${markedString}${digits}"`;
  });
  return marked;
}

/** The end of the integer in `:1690113884806720496,`, the form of all integers of a block. A regular expression takes ten times as long. */
function endOfLoneInteger(piece: string): number | undefined {
  if (piece.charCodeAt(0) !== 0x3a || piece.charCodeAt(1) === 0x30) return undefined;
  let end = 1;
  while (isDigit(piece, end)) end++;
  const next = piece.charAt(end);
  return end > 1 && (next === "," || next === "}") && piece.length - end <= manyDigits ? end : undefined;
}

function isDigit(text: string, at: number): boolean {
  const unit = text.charCodeAt(at);
  return unit >= 0x30 && unit <= 0x39;
}

/** Whether the following quote is part of the string: an odd number of backslashes precedes it. */
function endsInEscape(piece: string): boolean {
  let at = piece.length;
  while (at > 0 && piece.charCodeAt(at - 1) === 0x5c) at--;
  return (piece.length - at) % 2 === 1;
}

/** Replaces marked strings by integers, until `left` are done. Returns how many are left. */
function restore(node: object, left: number): number {
  return Array.isArray(node) ? restoreItems(node, left) : restoreMembers(node as Record<string, unknown>, left);
}

// `for … in` over an array would create a string for every index.
function restoreItems(items: unknown[], left: number): number {
  let rest = left;
  for (let i = 0; i < items.length && rest > 0; i++) {
    const value = items[i];
    if (typeof value === "object" && value !== null) rest = restore(value, rest);
    else if (isMarked(value)) {
      items[i] = toInteger(value);
      rest--;
    }
  }
  return rest;
}

function restoreMembers(members: Record<string, unknown>, left: number): number {
  let rest = left;
  for (const key in members) {
    const value = members[key];
    if (typeof value === "object" && value !== null) rest = restore(value, rest);
    else if (isMarked(value)) {
      members[key] = toInteger(value);
      rest--;
    }
    if (rest === 0) break;
  }
  return rest;
}

function isMarked(value: unknown): value is string {
  return typeof value === "string" && value.charCodeAt(0) === 0xffff;
}

function toInteger(marked: string): bigint | number {
  const integer = BigInt(marked.slice(1));
  // 16 digits and a sign may still fit.
  if (marked.length > 18) return integer;
  const value = Number(integer);
  return Number.isSafeInteger(value) ? value : integer;
}

function unquote(text: string, integers: number): string {
  const pieces = text.split(markedString);
  if (pieces.length !== integers + 1) throw new TypeError("cannot write a string that begins with U+FFFF");
  for (let i = 1; i < pieces.length; i++) {
    const piece = pieces[i] ?? "";
    const end = piece.indexOf('"');
    pieces[i] = piece.slice(0, end) + piece.slice(end + 1);
  }
  return pieces.join("");
}

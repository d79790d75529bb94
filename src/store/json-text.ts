/**
 * A JSON value that is parsed only when it is needed.
 *
 * A full block has 64 owners, and an operation concerns about one: the attributes of the others are copied from the old file to the new one
 * as text. **The text contains no backslash**, so a string has only one spelling and can be searched for.
 */
import { parseJson } from "./json.ts";

export class JsonText<T> {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  /** Throws `SyntaxError` if the text is not JSON. */
  value(): T {
    return parseJson(this.text) as T;
  }

  /** Whether it contains a string, given as JSON. May return true for a string that it does not contain. */
  mayHold(quoted: string): boolean {
    return this.text.includes(quoted);
  }

  toJSON(): T {
    return this.value();
  }
}

/** A value that a store returns, which may be unparsed. Callers use the two functions below and need not know which it is. */
export type Unread<T> = T | JsonText<T>;

/** Throws `SyntaxError` if it is text but not JSON. */
export function readValue<T>(unread: Unread<T>): T {
  return unread instanceof JsonText ? unread.value() : unread;
}

/** `false`: it does not contain the string, given as JSON. */
export function mayContain(unread: unknown, quoted: string): boolean {
  return !(unread instanceof JsonText) || unread.mayHold(quoted);
}

/**
 * A JSON value that stays text until somebody asks for it.
 *
 * A full block notes 64 owners, and an operation is about one: the others' notes are handed from the old file to the new one as they are,
 * neither parsed nor written anew. **It holds no backslash**, so that a string can be searched for: there is one way to write it.
 */
import { parseJson } from "./json.ts";

export class JsonText<T> {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  /** Throws `SyntaxError` when the text is no JSON. */
  value(): T {
    return parseJson(this.text) as T;
  }

  /** Whether a string stands in it, given as JSON; may be mistaken in saying that it does. */
  mayHold(quoted: string): boolean {
    return this.text.includes(quoted);
  }

  toJSON(): T {
    return this.value();
  }
}

/** What a store hands up, which may not have been read yet: whoever works on it knows the two functions below, and not which it is. */
export type Unread<T> = T | JsonText<T>;

/** Throws `SyntaxError` when it is text and no JSON. */
export function readValue<T>(unread: Unread<T>): T {
  return unread instanceof JsonText ? unread.value() : unread;
}

/** `false`: the string, given as JSON, does not stand in it. */
export function mayContain(unread: unknown, quoted: string): boolean {
  return !(unread instanceof JsonText) || unread.mayHold(quoted);
}

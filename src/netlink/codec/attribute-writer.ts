/** Writes netlink attributes (drawn in `attribute.ts`) into a growing array of words. */
import { encodeUtf8 } from "../../net/text.ts";
import { headerLength, i32Of, MalformedError, NLA_F_NESTED, typeMask } from "./attribute.ts";

const initialWords = 48;

/**
 * Builds the body of one message: a fixed header with `octets`, `halves`, `word`, then attributes. Everything starts on a multiple of 4, so the
 * buffer consists of words: the engine stores one in a third of the time of a call to a DataView, and in a quarter of that of four bytes.
 */
export class AttributeWriter {
  #words = new Int32Array(initialWords);
  #room = initialWords;
  #count = 0;

  /** Four bytes of a fixed header. */
  octets(first: number, second: number, third: number, fourth: number): this {
    return this.word(first | (second << 8) | (third << 16) | (fourth << 24));
  }

  /** Two numbers of 16 bits of a fixed header, in the machine's order. */
  halves(first: number, second: number): this {
    return this.word((first & 0xffff) | (second << 16));
  }

  /** Four bytes of a fixed header, in the machine's order; negative numbers as two's complement. */
  word(value: number): this {
    const at = this.#take(1);
    this.#words[at] = value;
    return this;
  }

  u8(type: number, value: number): this {
    return this.#number(type, 1, value & 0xff);
  }

  u16(type: number, value: number): this {
    return this.#number(type, 2, value & 0xffff);
  }

  u32(type: number, value: number): this {
    return this.#number(type, 4, value);
  }

  /** An integer up to 2^53. */
  u64(type: number, value: number): this {
    return this.#numbers(type, value, value / 2 ** 32);
  }

  be16(type: number, value: number): this {
    return this.#number(type, 2, ((value & 0xff) << 8) | ((value >> 8) & 0xff));
  }

  be32(type: number, value: number): this {
    return this.#number(type, 4, swapped(value));
  }

  /** An integer up to 2^53. */
  be64(type: number, value: number): this {
    return this.#numbers(type, swapped(value / 2 ** 32), swapped(value));
  }

  /** UTF-8 and a NUL. */
  string(type: number, text: string): this {
    const { length } = text;
    const start = this.#attribute(type, length + 1);
    const words = this.#words;
    let at = start;
    // Names are ASCII, one byte per character. Beyond the last it is NaN, which bit operators treat as 0.
    for (let index = 0; index < length; index += 4) {
      const first = text.charCodeAt(index);
      const second = text.charCodeAt(index + 1);
      const third = text.charCodeAt(index + 2);
      const fourth = text.charCodeAt(index + 3);
      if ((first | second | third | fourth) > 0x7f) return this.#rewind(start - 1).bytes(type, encodeUtf8(`${text}\0`));
      words[at++] = first | (second << 8) | (third << 16) | (fourth << 24);
    }
    return this;
  }

  bytes(type: number, value: Uint8Array): this {
    const { length } = value;
    const at = this.#attribute(type, length);
    // Usually an IPv4 address.
    if (length === 4) this.#words[at] = i32Of(value);
    else new Uint8Array(this.#words.buffer).set(value, at * 4);
    return this;
  }

  /** An attribute without a value. */
  flag(type: number): this {
    this.#attribute(type, 0);
    return this;
  }

  /** Everything that `body` writes becomes the value of one attribute. */
  nest(type: number, body: (writer: this) => void): this {
    const start = this.#take(1);
    body(this);
    this.#words[start] = headerOf(type | NLA_F_NESTED, (this.#count - start) * 4);
    return this;
  }

  /** The bytes so far. Do not use the writer after this. */
  finish(): Uint8Array {
    return new Uint8Array(this.#words.buffer, 0, this.#count * 4);
  }

  #number(type: number, length: number, value: number): this {
    const at = this.#take(2);
    this.#words[at] = (headerLength + length) | (type << 16);
    this.#words[at + 1] = value;
    return this;
  }

  /** Writes the low 32 bits of the numbers. */
  #numbers(type: number, first: number, second: number): this {
    const at = this.#attribute(type, 8);
    this.#words[at] = first;
    this.#words[at + 1] = second;
    return this;
  }

  /** Removes everything from `start` on. */
  #rewind(start: number): this {
    this.#words.fill(0, start, this.#count);
    this.#count = start;
    return this;
  }

  /** Makes room, which may replace the array, and writes the header. Returns the position of the value. */
  #attribute(type: number, valueLength: number): number {
    const length = headerLength + valueLength;
    const start = this.#take((length + 3) >> 2);
    this.#words[start] = headerOf(type, length);
    return start + 1;
  }

  /** Makes room for `count` words of zeros; returns their position. */
  #take(count: number): number {
    const start = this.#count;
    this.#count = start + count;
    if (start + count > this.#room) this.#grow();
    return start;
  }

  #grow(): void {
    this.#room = Math.max(this.#room * 2, this.#count);
    const grown = new Int32Array(this.#room);
    grown.set(this.#words);
    this.#words = grown;
  }
}

function headerOf(type: number, length: number): number {
  // The length field cannot express more; the kernel would read the rest as other attributes.
  if (length > 0xffff) throw new MalformedError(`cannot write netlink attribute ${type & typeMask}: too long`);
  return length | (type << 16);
}

/** A number of 32 bits with its bytes reversed. */
function swapped(value: number): number {
  return (value << 24) | ((value << 8) & 0xff0000) | ((value >>> 8) & 0xff00) | (value >>> 24);
}

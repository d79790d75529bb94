/** Writes netlink attributes (`attribute.ts` draws them) into a buffer that grows. */
import { encodeUtf8 } from "../net/text.ts";
import { align, headerLength, littleEndian, MalformedError, NLA_F_NESTED, typeMask } from "./attribute.ts";

/** Builds the body of one message: a fixed header with `byte`, `half`, `word`, then attributes. */
export class AttributeWriter {
  #bytes = new Uint8Array(192);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  /** One byte of a fixed header. */
  byte(value: number): this {
    const at = this.#take(1);
    this.#view.setUint8(at, value);
    return this;
  }

  /** Two bytes of a fixed header, in the machine's order. */
  half(value: number): this {
    const at = this.#take(2);
    this.#view.setUint16(at, value, littleEndian);
    return this;
  }

  /** Two bytes of a fixed header, in network order. */
  halfBe(value: number): this {
    const at = this.#take(2);
    this.#view.setUint16(at, value);
    return this;
  }

  /** Four bytes of a fixed header, in the machine's order; negative numbers as two's complement. */
  word(value: number): this {
    const at = this.#take(4);
    this.#view.setUint32(at, value, littleEndian);
    return this;
  }

  u8(type: number, value: number): this {
    const at = this.#attribute(type, 1);
    this.#view.setUint8(at, value);
    return this;
  }

  u16(type: number, value: number): this {
    const at = this.#attribute(type, 2);
    this.#view.setUint16(at, value, littleEndian);
    return this;
  }

  u32(type: number, value: number): this {
    const at = this.#attribute(type, 4);
    this.#view.setUint32(at, value, littleEndian);
    return this;
  }

  /** An integer up to 2^53. */
  u64(type: number, value: number): this {
    const at = this.#attribute(type, 8);
    this.#view.setUint32(at, value, littleEndian);
    this.#view.setUint32(at + 4, value / 2 ** 32, littleEndian);
    return this;
  }

  be16(type: number, value: number): this {
    const at = this.#attribute(type, 2);
    this.#view.setUint16(at, value);
    return this;
  }

  be32(type: number, value: number): this {
    const at = this.#attribute(type, 4);
    this.#view.setUint32(at, value);
    return this;
  }

  /** An integer up to 2^53. */
  be64(type: number, value: number): this {
    const at = this.#attribute(type, 8);
    this.#view.setUint32(at, value / 2 ** 32);
    this.#view.setUint32(at + 4, value);
    return this;
  }

  /** UTF-8 and a NUL. */
  string(type: number, text: string): this {
    const start = this.#length;
    const at = this.#attribute(type, text.length + 1);
    // Names are ASCII, where a character is a byte.
    for (let index = 0; index < text.length; index++) {
      const unit = text.charCodeAt(index);
      if (unit > 0x7f) return this.#rewind(start).bytes(type, encodeUtf8(`${text}\0`));
      this.#bytes[at + index] = unit;
    }
    return this;
  }

  bytes(type: number, value: Uint8Array): this {
    const at = this.#attribute(type, value.length);
    this.#bytes.set(value, at);
    return this;
  }

  /** An attribute without a value. */
  flag(type: number): this {
    this.#attribute(type, 0);
    return this;
  }

  /** Everything that `body` writes becomes the value of one attribute. */
  nest(type: number, body: (writer: this) => void): this {
    const start = this.#take(headerLength);
    body(this);
    this.#header(start, type | NLA_F_NESTED, this.#length - start);
    return this;
  }

  /** The bytes so far. Do not use the writer after this. */
  finish(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  /** Removes what was written from `start` on. */
  #rewind(start: number): this {
    this.#bytes.fill(0, start, this.#length);
    this.#length = start;
    return this;
  }

  /** Makes room, which may replace the view, and writes the header. Returns the offset of the value. */
  #attribute(type: number, valueLength: number): number {
    const length = headerLength + valueLength;
    const start = this.#take(align(length));
    this.#header(start, type, length);
    return start + headerLength;
  }

  #header(at: number, type: number, length: number): void {
    // The length field cannot express more; the kernel would read the rest as other attributes.
    if (length > 0xffff) throw new MalformedError(`cannot write netlink attribute ${type & typeMask}: too long`);
    this.#view.setUint16(at, length, littleEndian);
    this.#view.setUint16(at + 2, type, littleEndian);
  }

  /** Makes room for `count` zero bytes; returns their offset. */
  #take(count: number): number {
    const start = this.#length;
    this.#length += count;
    if (this.#length > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(this.#bytes.length * 2, this.#length));
      grown.set(this.#bytes);
      this.#bytes = grown;
      this.#view = new DataView(grown.buffer);
    }
    return start;
  }
}

/**
 * Netlink attributes (`struct nlattr`): a growable writer and a reader that trusts nothing.
 *
 *      0        2        4
 *      +--------+--------+-----------------+-------+
 *      | length |  type  | value           |  pad  |   length counts header and value, not the pad;
 *      +--------+--------+-----------------+-------+   everything starts on a multiple of 4
 *
 * Numbers are in the machine's byte order but where the kernel's header says `be` or nf_tables is spoken to.
 */
import { decodeUtf8, encodeUtf8 } from "../net/text.ts";

/** The machine's byte order: little endian on amd64, arm64 and all we build for. */
export const littleEndian = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

/** The value is itself a list of attributes. Kernels from 5.2 on insist on it in newer places, all others ignore it. */
export const NLA_F_NESTED = 0x8000;
const typeMask = 0x3fff;
const headerLength = 4;

/** Bytes that are not a netlink message: truncated, or lengths that contradict each other. */
export class MalformedError extends Error {
  override readonly name = "MalformedError";
}

/** Builds the body of one message: a fixed header by `byte`, `half`, `word`, then attributes. */
export class AttributeWriter {
  #bytes = new Uint8Array(192);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  /** One byte of a fixed header. */
  byte(value: number): this {
    this.#view.setUint8(this.#take(1), value);
    return this;
  }

  /** Two bytes of a fixed header, in the machine's order. */
  half(value: number): this {
    this.#view.setUint16(this.#take(2), value, littleEndian);
    return this;
  }

  /** Two bytes of a fixed header, in network order. */
  halfBe(value: number): this {
    this.#view.setUint16(this.#take(2), value);
    return this;
  }

  /** Four bytes of a fixed header, in the machine's order; a negative number gets its two's complement. */
  word(value: number): this {
    this.#view.setUint32(this.#take(4), value, littleEndian);
    return this;
  }

  u8(type: number, value: number): this {
    return this.#attribute(type, 1, (at) => this.#view.setUint8(at, value));
  }

  u16(type: number, value: number): this {
    return this.#attribute(type, 2, (at) => this.#view.setUint16(at, value, littleEndian));
  }

  u32(type: number, value: number): this {
    return this.#attribute(type, 4, (at) => this.#view.setUint32(at, value, littleEndian));
  }

  /** An integer up to 2^53. */
  u64(type: number, value: number): this {
    return this.#attribute(type, 8, (at) => {
      this.#view.setUint32(littleEndian ? at : at + 4, value, littleEndian);
      this.#view.setUint32(littleEndian ? at + 4 : at, value / 2 ** 32, littleEndian);
    });
  }

  be16(type: number, value: number): this {
    return this.#attribute(type, 2, (at) => this.#view.setUint16(at, value));
  }

  be32(type: number, value: number): this {
    return this.#attribute(type, 4, (at) => this.#view.setUint32(at, value));
  }

  /** An integer up to 2^53. */
  be64(type: number, value: number): this {
    return this.#attribute(type, 8, (at) => {
      this.#view.setUint32(at, value / 2 ** 32);
      this.#view.setUint32(at + 4, value);
    });
  }

  /** UTF-8 and a NUL. */
  string(type: number, text: string): this {
    const encoded = encodeUtf8(text);
    return this.#attribute(type, encoded.length + 1, (at) => this.#bytes.set(encoded, at));
  }

  bytes(type: number, value: Uint8Array): this {
    return this.#attribute(type, value.length, (at) => this.#bytes.set(value, at));
  }

  /** An attribute whose presence is its value. */
  flag(type: number): this {
    return this.#attribute(type, 0, () => {});
  }

  /** Everything `body` writes becomes the value of one attribute. */
  nest(type: number, body: (writer: this) => void): this {
    const start = this.#take(headerLength);
    body(this);
    this.#header(start, type | NLA_F_NESTED, this.#length - start);
    return this;
  }

  /** The bytes so far. The writer is not used any more after this. */
  finish(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  #attribute(type: number, valueLength: number, write: (at: number) => void): this {
    const start = this.#take(headerLength + align(valueLength));
    this.#header(start, type, headerLength + valueLength);
    write(start + headerLength);
    return this;
  }

  #header(at: number, type: number, length: number): void {
    // A longer attribute cannot be said; the kernel would read the rest as other attributes.
    if (length > 0xffff) throw new MalformedError(`cannot write netlink attribute ${type & typeMask}: too long`);
    this.#view.setUint16(at, length, littleEndian);
    this.#view.setUint16(at + 2, type, littleEndian);
  }

  /** Makes room for `count` zero bytes; returns where they start. */
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

export interface Attribute {
  /** Without the flag bits. */
  readonly type: number;
  readonly value: Uint8Array;
}

/** Attributes by type; of a type that occurs twice the last one counts. */
export type Attributes = ReadonlyMap<number, Uint8Array>;

/** Reads attributes from `offset` to the end of `bytes`. Throws `MalformedError`. */
export function readAttributes(bytes: Uint8Array, offset = 0): Attributes {
  const attributes = new Map<number, Uint8Array>();
  for (const { type, value } of listAttributes(bytes, offset)) attributes.set(type, value);
  return attributes;
}

/** The same in order, for lists in which types repeat. Throws `MalformedError`. */
export function listAttributes(bytes: Uint8Array, offset = 0): readonly Attribute[] {
  const attributes: Attribute[] = [];
  const view = viewOf(bytes);
  let at = offset;
  while (at < bytes.length) {
    if (bytes.length - at < headerLength) throw truncated("attribute header", headerLength, bytes.length - at);
    const length = view.getUint16(at, littleEndian);
    if (length < headerLength) throw new MalformedError(`cannot read netlink attribute: its length is ${length}`);
    if (length > bytes.length - at) throw truncated("attribute", length, bytes.length - at);
    attributes.push({
      type: view.getUint16(at + 2, littleEndian) & typeMask,
      value: bytes.subarray(at + headerLength, at + length),
    });
    at += align(length);
  }
  return attributes;
}

export function u8Of(value: Uint8Array, at = 0): number {
  return sized(value, at, 1).getUint8(at);
}

export function u16Of(value: Uint8Array, at = 0): number {
  return sized(value, at, 2).getUint16(at, littleEndian);
}

export function u32Of(value: Uint8Array, at = 0): number {
  return sized(value, at, 4).getUint32(at, littleEndian);
}

export function i32Of(value: Uint8Array, at = 0): number {
  return sized(value, at, 4).getInt32(at, littleEndian);
}

/** Exact up to 2^53. */
export function u64Of(value: Uint8Array, at = 0): number {
  const view = sized(value, at, 8);
  const low = view.getUint32(littleEndian ? at : at + 4, littleEndian);
  return view.getUint32(littleEndian ? at + 4 : at, littleEndian) * 2 ** 32 + low;
}

export function be16Of(value: Uint8Array, at = 0): number {
  return sized(value, at, 2).getUint16(at);
}

export function be32Of(value: Uint8Array, at = 0): number {
  return sized(value, at, 4).getUint32(at);
}

/** Exact up to 2^53. */
export function be64Of(value: Uint8Array, at = 0): number {
  const view = sized(value, at, 8);
  return view.getUint32(at) * 2 ** 32 + view.getUint32(at + 4);
}

/** The text before the first NUL. */
export function stringOf(value: Uint8Array): string {
  const end = value.indexOf(0);
  return decodeUtf8(end < 0 ? value : value.subarray(0, end));
}

/** Rounds up to a multiple of 4 (NLA_ALIGN, NLMSG_ALIGN). */
export function align(length: number): number {
  return (length + 3) & ~3;
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function sized(value: Uint8Array, at: number, size: number): DataView {
  if (value.length < at + size) throw truncated("number", size, value.length - at);
  return viewOf(value);
}

function truncated(what: string, wanted: number, found: number): MalformedError {
  return new MalformedError(`cannot read netlink ${what}: wanted ${wanted} bytes, found ${found}`);
}

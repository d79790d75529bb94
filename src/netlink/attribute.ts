/**
 * Netlink attributes (`struct nlattr`): a growing writer and a reader that validates everything.
 *
 *      0        2        4
 *      +--------+--------+-----------------+-------+
 *      | length |  type  | value           |  pad  |   length includes header and value, not the padding;
 *      +--------+--------+-----------------+-------+   everything starts on a multiple of 4
 *
 * Numbers are in the machine's byte order, except where the kernel's header says `be`, and in nf_tables. They are composed byte by byte, and
 * attributes are sliced only on access: on the engine a DataView or a subarray costs a microsecond, and a link has fifty attributes.
 */
import { decodeUtf8, encodeUtf8 } from "../net/text.ts";

/** The machine's byte order: little endian on amd64, arm64 and all other supported machines. */
export const littleEndian = true;

/** The value is itself a list of attributes. Kernels from 5.2 on require the flag for newer attributes and ignore it elsewhere. */
export const NLA_F_NESTED = 0x8000;
const typeMask = 0x3fff;
const headerLength = 4;

/** Bytes that are not a valid netlink message: truncated, or with contradictory lengths. */
export class MalformedError extends Error {
  override readonly name = "MalformedError";
  /** The errno of a system call with such an error, so that it is reported like one. */
  readonly code = "EBADMSG";
}

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
    const start = this.#take((length + 3) & ~3);
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

export interface Attribute {
  /** Without the flag bits. */
  readonly type: number;
  readonly value: Uint8Array;
}

/** Attributes by type; the last of several with the same type applies. */
export interface Attributes {
  get(type: number): Uint8Array | undefined;
  has(type: number): boolean;
}

/** One more than the largest type that messages have many of (IFLA_* in linux/if_link.h); others are found more slowly. */
const usualTypes = 96;

/** Reads attributes from `offset` to the end of `bytes`. Throws `MalformedError`. */
export function readAttributes(bytes: Uint8Array, offset = 0): Attributes {
  /** Where values start, behind their headers: 0 is none. An array, because the engine sets its elements in a sixth of a map's time. */
  const usual = new Uint32Array(usualTypes);
  let others: Map<number, number> | undefined;
  const end = bytes.length;
  for (let at = offset; at < end; ) {
    const length = lengthAt(bytes, at, end);
    const type = ((bytes[at + 2] as number) | ((bytes[at + 3] as number) << 8)) & typeMask;
    if (type < usualTypes) usual[type] = at + headerLength;
    else {
      others ??= new Map();
      others.set(type, at + headerLength);
    }
    at += (length + 3) & ~3;
  }
  const startOf = (type: number) => (type < usualTypes ? usual[type] : others?.get(type)) || undefined;
  return {
    has: (type) => startOf(type) !== undefined,
    get(type) {
      const start = startOf(type);
      return start === undefined ? undefined : valueAt(bytes, start - headerLength);
    },
  };
}

/** The same in order, for lists with repeated types. Throws `MalformedError`. */
export function listAttributes(bytes: Uint8Array, offset = 0): readonly Attribute[] {
  const attributes: Attribute[] = [];
  for (let at = offset; at < bytes.length; ) {
    const length = lengthAt(bytes, at, bytes.length);
    attributes.push({ type: typeAt(bytes, at), value: valueAt(bytes, at) });
    at += align(length);
  }
  return attributes;
}

/** The length of the attribute that starts here; all of it is before `end`. */
function lengthAt(bytes: Uint8Array, at: number, end: number): number {
  const rest = end - at;
  if (rest < headerLength) throw truncated("attribute header", headerLength, rest);
  const length = (bytes[at] as number) | ((bytes[at + 1] as number) << 8);
  if (length < headerLength) throw new MalformedError(`cannot read netlink attribute: its length is ${length}`);
  if (length > rest) throw truncated("attribute", length, rest);
  return length;
}

function typeAt(bytes: Uint8Array, at: number): number {
  return ((bytes[at + 2] as number) | ((bytes[at + 3] as number) << 8)) & typeMask;
}

function valueAt(bytes: Uint8Array, start: number): Uint8Array {
  return bytes.subarray(start + headerLength, start + u16Of(bytes, start));
}

export function u8Of(value: Uint8Array, at = 0): number {
  need(value, at + 1);
  return value[at] as number;
}

export function u16Of(value: Uint8Array, at = 0): number {
  need(value, at + 2);
  return ((value[at + 1] as number) << 8) | (value[at] as number);
}

export function u32Of(value: Uint8Array, at = 0): number {
  return i32Of(value, at) >>> 0;
}

export function i32Of(value: Uint8Array, at = 0): number {
  need(value, at + 4);
  const high = ((value[at + 3] as number) << 8) | (value[at + 2] as number);
  return (high << 16) | ((value[at + 1] as number) << 8) | (value[at] as number);
}

/** Exact up to 2^53. */
export function u64Of(value: Uint8Array, at = 0): number {
  return u32Of(value, at + 4) * 2 ** 32 + u32Of(value, at);
}

export function be16Of(value: Uint8Array, at = 0): number {
  need(value, at + 2);
  return ((value[at] as number) << 8) | (value[at + 1] as number);
}

export function be32Of(value: Uint8Array, at = 0): number {
  return ((be16Of(value, at) << 16) | be16Of(value, at + 2)) >>> 0;
}

/** Exact up to 2^53. */
export function be64Of(value: Uint8Array, at = 0): number {
  return be32Of(value, at) * 2 ** 32 + be32Of(value, at + 4);
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

function need(bytes: Uint8Array, length: number): void {
  if (bytes.length < length) throw truncated("number", length, bytes.length);
}

function truncated(what: string, wanted: number, found: number): MalformedError {
  return new MalformedError(`cannot read netlink ${what}: wanted ${wanted} bytes, found ${found}`);
}

/**
 * Reads netlink attributes (`struct nlattr`), and validates everything. `attribute-writer.ts` writes them.
 *
 *      0        2        4
 *      +--------+--------+-----------------+-------+
 *      | length |  type  | value           |  pad  |   length includes header and value, not the padding;
 *      +--------+--------+-----------------+-------+   everything starts on a multiple of 4
 *
 * Numbers are in the machine's byte order, except where the kernel's header says `be`, and in nf_tables. They are composed byte by byte, and
 * attributes are sliced only on access: on the engine a subarray costs a microsecond, and a link has fifty attributes.
 */
import { decodeUtf8 } from "../../net/text.ts";

/** The machine's byte order: little endian on amd64, arm64 and all other supported machines. The writer's words rely on it. */
export const littleEndian = true;

/** The value is itself a list of attributes. Kernels from 5.2 on require the flag for newer attributes and ignore it elsewhere. */
export const NLA_F_NESTED = 0x8000;
export const typeMask = 0x3fff;
export const headerLength = 4;

/** Bytes that are not a valid netlink message: truncated, or with contradictory lengths. */
export class MalformedError extends Error {
  override readonly name = "MalformedError";
  /** The errno of a system call with such an error, so that it is reported like one. */
  readonly code = "EBADMSG";
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
  /** The offset of each value; 0 for a missing one. An array, because the engine sets an element of it six times as fast as one of a map. */
  const usual = new Uint32Array(usualTypes);
  let others: Map<number, number> | undefined;
  const end = bytes.length;
  for (let at = offset; at < end; ) {
    // Bytes beyond the end are undefined, which bit operators treat as 0, so an attribute with a truncated header is too short.
    const length = (bytes[at] as number) | ((bytes[at + 1] as number) << 8);
    if (length < headerLength || length > end - at) throw badLength(bytes, at);
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
    const length = lengthAt(bytes, at);
    attributes.push({ type: typeAt(bytes, at), value: valueAt(bytes, at) });
    at += align(length);
  }
  return attributes;
}

/** The value of the first attribute of a type, for a message of which nothing else is needed. Throws `MalformedError`. */
export function findAttribute(bytes: Uint8Array, type: number, offset = 0): Uint8Array | undefined {
  const end = bytes.length;
  for (let at = offset; at < end; ) {
    const length = lengthAt(bytes, at);
    if (typeAt(bytes, at) === type) return valueAt(bytes, at);
    at += align(length);
  }
  return undefined;
}

/** The length of the attribute that starts here; throws if it is truncated. */
function lengthAt(bytes: Uint8Array, at: number): number {
  const length = (bytes[at] as number) | ((bytes[at + 1] as number) << 8);
  if (length < headerLength || length > bytes.length - at) throw badLength(bytes, at);
  return length;
}

function badLength(bytes: Uint8Array, at: number): MalformedError {
  const rest = bytes.length - at;
  if (rest < headerLength) return truncated("attribute header", headerLength, rest);
  const length = u16Of(bytes, at);
  return length < headerLength
    ? new MalformedError(`cannot read netlink attribute: its length is ${length}`)
    : truncated("attribute", length, rest);
}

function typeAt(bytes: Uint8Array, at: number): number {
  return ((bytes[at + 2] as number) | ((bytes[at + 3] as number) << 8)) & typeMask;
}

function valueAt(bytes: Uint8Array, start: number): Uint8Array {
  return bytes.subarray(start + headerLength, start + u16Of(bytes, start));
}

export function u8Of(value: Uint8Array, at = 0): number {
  return value[at] ?? missing(value, at + 1);
}

export function u16Of(value: Uint8Array, at = 0): number {
  const high = value[at + 1] ?? missing(value, at + 2);
  return (high << 8) | (value[at] as number);
}

export function u32Of(value: Uint8Array, at = 0): number {
  return i32Of(value, at) >>> 0;
}

export function i32Of(value: Uint8Array, at = 0): number {
  const high = value[at + 3] ?? missing(value, at + 4);
  return (high << 24) | ((value[at + 2] as number) << 16) | ((value[at + 1] as number) << 8) | (value[at] as number);
}

/** Exact up to 2^53. */
export function u64Of(value: Uint8Array, at = 0): number {
  return u32Of(value, at + 4) * 2 ** 32 + u32Of(value, at);
}

export function be16Of(value: Uint8Array, at = 0): number {
  const low = value[at + 1] ?? missing(value, at + 2);
  return ((value[at] as number) << 8) | low;
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

/** Elements beyond the end of an array are undefined: testing for that takes a tenth of the time of reading the array's length. */
function missing(bytes: Uint8Array, length: number): never {
  throw truncated("number", length, bytes.length);
}

function truncated(what: string, wanted: number, found: number): MalformedError {
  return new MalformedError(`cannot read netlink ${what}: wanted ${wanted} bytes, found ${found}`);
}

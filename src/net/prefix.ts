/**
 * Prefixes (`"10.0.0.0/26"`), also an address with its prefix length (`"10.0.0.5/26"`): text in plans, bytes at the codec's edge.
 *
 * Functions that take texts trust them (they were parsed at the edge) and throw `RangeError` where they are none.
 */
import {
  addressBytes,
  addressToBigInt,
  bigIntToAddress,
  bytesToBigInt,
  familyOf,
  formatAddress,
  parseAddress,
} from "./address.ts";

export interface Prefix {
  /** 4 or 16 bytes. Bits beyond the length are kept as they came. */
  readonly bytes: Uint8Array;
  readonly length: number;
}

/** `undefined` when the text is no prefix. Strict, as `parseAddress` is; the length has no leading zeros and no sign. */
export function parsePrefix(text: string): Prefix | undefined {
  const slash = text.indexOf("/");
  if (slash < 0) return undefined;
  const bytes = parseAddress(text.slice(0, slash));
  if (bytes === undefined) return undefined;
  const digits = text.slice(slash + 1);
  if (!/^(0|[1-9][0-9]{0,2})$/.test(digits)) return undefined;
  const length = Number(digits);
  return length <= bytes.length * 8 ? { bytes, length } : undefined;
}

export function formatPrefix({ bytes, length }: Prefix): string {
  return `${formatAddress(bytes)}/${length}`;
}

/** The same prefix in canonical text, bits beyond its length kept; `undefined` when the text is none. */
export function canonicalPrefix(text: string): string | undefined {
  const prefix = parsePrefix(text);
  return prefix && formatPrefix(prefix);
}

/** The network that an address with a length is in: `"10.0.0.5/26"` gives `"10.0.0.0/26"`. */
export function maskPrefix(prefix: string): string {
  const { bytes, length } = prefixOf(prefix);
  const masked = bytes.map((byte, index) => byte & maskByte(length, index));
  return formatPrefix({ bytes: masked, length });
}

/** `"10.0.0.5/26"` gives `"10.0.0.5"`; an address is given back as it is. */
export function addressOf(addressOrPrefix: string): string {
  const slash = addressOrPrefix.indexOf("/");
  return slash < 0 ? addressOrPrefix : addressOrPrefix.slice(0, slash);
}

/** The length of a prefix; of an address 32 or 128. */
export function lengthOf(addressOrPrefix: string): number {
  const slash = addressOrPrefix.indexOf("/");
  return slash < 0 ? fullLength(addressOrPrefix) : Number(addressOrPrefix.slice(slash + 1));
}

/** Whether every address of the second is one of the first. Different families contain nothing of each other. */
export function contains(prefix: string, addressOrPrefix: string): boolean {
  const outer = prefixOf(prefix);
  const inner = prefixOf(addressOrPrefix);
  if (outer.bytes.length !== inner.bytes.length || inner.length < outer.length) return false;
  return outer.bytes.every((byte, index) => ((byte ^ (inner.bytes[index] ?? 0)) & maskByte(outer.length, index)) === 0);
}

/** Whether two prefixes share an address: one then contains the other. */
export function overlaps(one: string, other: string): boolean {
  return contains(one, other) || contains(other, one);
}

/** The prefix that holds this address alone: /32 or /128. */
export function hostPrefix(address: string): string {
  return `${address}/${fullLength(address)}`;
}

/** How many addresses the prefix holds. */
export function addressCount(prefix: string): bigint {
  return 1n << BigInt(fullLength(prefix) - lengthOf(prefix));
}

/** The address at an ordinal of the prefix, counted from 0 at its first. Throws `RangeError` beyond the prefix. */
export function addressAt(prefix: string, ordinal: number | bigint): string {
  const offset = BigInt(ordinal);
  if (offset < 0n || offset >= addressCount(prefix)) {
    throw new RangeError(`cannot take address ${offset} of ${prefix}: it has ${addressCount(prefix)}`);
  }
  return bigIntToAddress(addressToBigInt(addressOf(maskPrefix(prefix))) + offset, familyOf(prefix));
}

/** Which address of the prefix this is, from 0; `undefined` when the prefix does not contain it. */
export function ordinalOf(prefix: string, address: string): bigint | undefined {
  if (!contains(prefix, address)) return undefined;
  return bytesToBigInt(addressBytes(address)) & (addressCount(prefix) - 1n);
}

function prefixOf(addressOrPrefix: string): Prefix {
  if (!addressOrPrefix.includes("/")) {
    const bytes = addressBytes(addressOrPrefix);
    return { bytes, length: bytes.length * 8 };
  }
  const prefix = parsePrefix(addressOrPrefix);
  if (prefix === undefined) throw new RangeError(`cannot parse prefix "${addressOrPrefix}"`);
  return prefix;
}

function fullLength(addressOrPrefix: string): 32 | 128 {
  return familyOf(addressOrPrefix) === 4 ? 32 : 128;
}

/** The mask of a prefix length, at one of its bytes. */
function maskByte(length: number, index: number): number {
  const bits = length - index * 8;
  return bits >= 8 ? 0xff : bits <= 0 ? 0 : 0xff & (0xff00 >> bits);
}

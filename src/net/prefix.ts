/**
 * Prefixes (`"10.0.0.0/26"`) and addresses with prefix length (`"10.0.0.5/26"`): text in plans, bytes at the codec's edge.
 *
 * Functions that take texts trust them, since they were validated at the edge, and throw `RangeError` if they are not valid.
 */
import {
  addressBytes,
  addressToBigInt,
  bigIntToAddress,
  bytesToBigInt,
  familyOf,
  formatAddress,
  parseAddress,
  parseOctet,
} from "./address.ts";
import { remembering } from "./remembering.ts";

export interface Prefix {
  /** 4 or 16 bytes, for reading alone. Host bits are kept. */
  readonly bytes: Uint8Array;
  readonly length: number;
}

/** `undefined` if the text is not a valid prefix. Strict like `parseAddress`; the length has no leading zeros and no sign. */
export const parsePrefix = remembering((text: string): Prefix | undefined => {
  const slash = text.indexOf("/");
  if (slash < 0) return undefined;
  const bytes = parseAddress(text.slice(0, slash));
  if (bytes === undefined) return undefined;
  const length = parseOctet(text.slice(slash + 1));
  return length !== undefined && length <= bytes.length * 8 ? { bytes, length } : undefined;
});

export function formatPrefix({ bytes, length }: Prefix): string {
  return `${formatAddress(bytes)}/${length}`;
}

/** The same prefix in canonical text, host bits included; `undefined` if the text is not valid. */
export function canonicalPrefix(text: string): string | undefined {
  const prefix = parsePrefix(text);
  return prefix && formatPrefix(prefix);
}

/** The network of an address with prefix length: `"10.0.0.5/26"` gives `"10.0.0.0/26"`. */
export function maskPrefix(prefix: string): string {
  const { bytes, length } = prefixOf(prefix);
  const masked = bytes.map((byte, index) => byte & maskByte(length, index));
  return formatPrefix({ bytes: masked, length });
}

/** `"10.0.0.5/26"` gives `"10.0.0.5"`; an address is returned unchanged. */
export function addressOf(addressOrPrefix: string): string {
  const slash = addressOrPrefix.indexOf("/");
  return slash < 0 ? addressOrPrefix : addressOrPrefix.slice(0, slash);
}

/** The length of a prefix; for an address 32 or 128. */
export function lengthOf(addressOrPrefix: string): number {
  const slash = addressOrPrefix.indexOf("/");
  return slash < 0 ? fullLength(addressOrPrefix) : Number(addressOrPrefix.slice(slash + 1));
}

/** Whether the first contains every address of the second. Different families never contain each other. */
export function contains(prefix: string, addressOrPrefix: string): boolean {
  const outer = prefixOf(prefix);
  const inner = prefixOf(addressOrPrefix);
  if (outer.bytes.length !== inner.bytes.length || inner.length < outer.length) return false;
  return holds(outer, inner.bytes);
}

/** Whether the first bits of an address are those of the prefix: whole bytes, and the remaining bits of one. */
function holds({ bytes, length }: Prefix, address: Uint8Array): boolean {
  const whole = length >> 3;
  for (let index = 0; index < whole; index++) if (bytes[index] !== address[index]) return false;
  return (length & 7) === 0 || (((bytes[whole] ?? 0) ^ (address[whole] ?? 0)) & maskByte(length, whole)) === 0;
}

/** Whether two prefixes share an address: one then contains the other. */
export function overlaps(one: string, other: string): boolean {
  return contains(one, other) || contains(other, one);
}

/** The prefix that contains only this address: /32 or /128. */
export function hostPrefix(address: string): string {
  return `${address}/${fullLength(address)}`;
}

/** How many addresses the prefix contains. */
export function addressCount(prefix: string): bigint {
  return 1n << BigInt(fullLength(prefix) - lengthOf(prefix));
}

/** The address at an ordinal of the prefix, counted from 0. Throws `RangeError` beyond the prefix. */
export function addressAt(prefix: string, ordinal: number | bigint): string {
  const offset = BigInt(ordinal);
  if (offset < 0n || offset >= addressCount(prefix)) {
    throw new RangeError(`cannot take address ${offset} of ${prefix}: it has ${addressCount(prefix)} addresses`);
  }
  return bigIntToAddress(addressToBigInt(addressOf(maskPrefix(prefix))) + offset, familyOf(prefix));
}

/** The ordinal of an address in the prefix, from 0; `undefined` if the prefix does not contain it. */
export function ordinalOf(prefix: string, address: string): bigint | undefined {
  if (!contains(prefix, address)) return undefined;
  return bytesToBigInt(addressBytes(address)) & (addressCount(prefix) - 1n);
}

/** For text that was validated at the edge. */
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

/** One byte of the mask of a prefix length. */
function maskByte(length: number, index: number): number {
  const bits = length - index * 8;
  return bits >= 8 ? 0xff : bits <= 0 ? 0 : 0xff & (0xff00 >> bits);
}

/**
 * IP addresses: canonical text in plans and configurations, bytes in network order at the codec's edge.
 *
 * Canonical is the output of `formatAddress`: `"10.0.0.5"`, and for IPv6 RFC 5952 (`"2001:db8::1"`; IPv4-mapped ones as `"::ffff:10.0.0.5"`).
 */

import { remembering } from "./remembering.ts";

/** An address family. A netlink header has its number in the kernel (`src/netlink/family.ts`). */
export type Family = 4 | 6;

/** The name of an address family in nf_tables and iptables, whose tables belong to one. */
export type TableFamily = "ip" | "ip6";

export const tableFamilies: readonly TableFamily[] = ["ip", "ip6"];

/**
 * The 4 or 16 bytes of an address, for reading alone: other callers get the same array. `undefined` if the text is not valid. Strict: no leading
 * zeros in IPv4 (some programs read `"010.0.0.1"` as octal), no zone (`"fe80::1%eth0"`), no white space. IPv6 may end in IPv4
 * (`"::ffff:10.0.0.5"`).
 */
export const parseAddress = remembering((text: string): Uint8Array | undefined =>
  text.includes(":") ? parseIpv6(text) : parseIpv4(text),
);

/** The canonical text of 4 or 16 bytes. */
export function formatAddress(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join(".");
  if (bytes.length !== 16) throw new RangeError(`cannot format an address of ${bytes.length} bytes: must be 4 or 16`);
  return formatIpv6(bytes);
}

/** The same address in canonical text; `undefined` if the text is not a valid address. */
export function canonicalAddress(text: string): string | undefined {
  const bytes = parseAddress(text);
  return bytes && formatAddress(bytes);
}

/** The family of a valid address or prefix. */
export function familyOf(addressOrPrefix: string): Family {
  return addressOrPrefix.includes(":") ? 6 : 4;
}

/** The family of the tables that translate a valid address or prefix. */
export function tableFamilyOf(addressOrPrefix: string): TableFamily {
  return familyOf(addressOrPrefix) === 4 ? "ip" : "ip6";
}

/** The bytes of an address that was already validated at the edge, for reading alone. Throws otherwise. */
export function addressBytes(address: string): Uint8Array {
  const bytes = parseAddress(address);
  if (bytes === undefined) throw new RangeError(`cannot parse address "${address}"`);
  return bytes;
}

/** The value of an address as one unsigned number of 32 or 128 bits. */
export function addressToBigInt(address: string): bigint {
  return bytesToBigInt(addressBytes(address));
}

/** The address with this value. Throws `RangeError` if the family has no such address. */
export function bigIntToAddress(value: bigint, family: Family): string {
  const bytes = new Uint8Array(family === 4 ? 4 : 16);
  let rest = value;
  for (let i = bytes.length - 1; i >= 0; i--) {
    bytes[i] = Number(rest & 0xffn);
    rest >>= 8n;
  }
  if (rest !== 0n) throw new RangeError(`cannot make an IPv${family} address of ${value}: it is out of range`);
  return formatAddress(bytes);
}

export function bytesToBigInt(bytes: Uint8Array): bigint {
  let value = 0n;
  for (const byte of bytes) value = (value << 8n) | BigInt(byte);
  return value;
}

/** The numbers by their decimals: the engine looks up a property faster than it parses the number. */
const octets = Uint8Array.from({ length: 256 }, (_, value) => value) as object as Readonly<Record<string, unknown>>;

/** The value of a decimal up to 255 without leading zeros, sign or spaces; `undefined` for any other text. */
export function parseOctet(text: string): number | undefined {
  const value = octets[text];
  // An array has other properties, one of them a number: `length`.
  return typeof value === "number" && text.length <= 3 ? value : undefined;
}

function parseIpv4(text: string): Uint8Array | undefined {
  const parts = text.split(".");
  if (parts.length !== 4) return undefined;
  const bytes = new Uint8Array(4);
  for (let index = 0; index < 4; index++) {
    const value = parseOctet(parts[index] as string);
    if (value === undefined) return undefined;
    bytes[index] = value;
  }
  return bytes;
}

function parseIpv6(text: string): Uint8Array | undefined {
  const gap = text.indexOf("::");
  if (gap < 0) {
    const all = parseGroups(text, true);
    return all?.length === 16 ? Uint8Array.from(all) : undefined;
  }
  const head = parseGroups(text.slice(0, gap), false);
  const tail = parseGroups(text.slice(gap + 2), true);
  // "::" stands for at least one group.
  if (head === undefined || tail === undefined || head.length + tail.length > 14) return undefined;
  const bytes = new Uint8Array(16);
  bytes.set(head);
  bytes.set(tail, 16 - tail.length);
  return bytes;
}

/** The bytes of groups joined by ":"; the last may be an IPv4 address. */
function parseGroups(text: string, mayEndInIpv4: boolean): number[] | undefined {
  const bytes: number[] = [];
  if (text === "") return bytes;
  const groups = text.split(":");
  for (const [index, group] of groups.entries()) {
    if (mayEndInIpv4 && index === groups.length - 1 && group.includes(".")) {
      const ipv4 = parseIpv4(group);
      if (ipv4 === undefined) return undefined;
      bytes.push(...ipv4);
    } else {
      if (!/^[0-9a-f]{1,4}$/i.test(group)) return undefined;
      const value = Number.parseInt(group, 16);
      bytes.push(value >> 8, value & 0xff);
    }
  }
  return bytes;
}

function formatIpv6(bytes: Uint8Array): string {
  const groups: number[] = [];
  for (let i = 0; i < 16; i += 2) groups.push(((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0));
  const { start, length } = zeroRun(groups);
  if (start === 0 && length === 5 && groups[5] === 0xffff) return `::ffff:${bytes.slice(12).join(".")}`;
  const hex = groups.map((group) => group.toString(16));
  if (length < 2) return hex.join(":");
  return `${hex.slice(0, start).join(":")}::${hex.slice(start + length).join(":")}`;
}

/** The longest run of zeros, the first of several (RFC 5952 section 4.2.3). */
function zeroRun(groups: readonly number[]): { readonly start: number; readonly length: number } {
  let best = { start: 0, length: 0 };
  let start = 0;
  for (const [index, group] of groups.entries()) {
    if (group !== 0) start = index + 1;
    else if (index + 1 - start > best.length) best = { start, length: index + 1 - start };
  }
  return best;
}

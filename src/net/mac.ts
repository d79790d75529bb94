/** Ethernet MAC addresses: lower-case text (`"ee:ee:ee:ee:ee:ee"`), six bytes at the codec's edge. */
import { formatAddress } from "./address.ts";
import { remembering } from "./remembering.ts";

/** Parses six pairs of hexadecimal digits joined by `:` or `-`, for reading alone; `undefined` if the text is not valid. */
export const parseMac = remembering((text: string): Uint8Array | undefined => {
  if (!/^[0-9a-f]{2}([:-])[0-9a-f]{2}(\1[0-9a-f]{2}){4}$/i.test(text)) return undefined;
  const bytes = new Uint8Array(6);
  for (let i = 0; i < 6; i++) bytes[i] = Number.parseInt(text.slice(i * 3, i * 3 + 2), 16);
  return bytes;
});

export function formatMac(bytes: Uint8Array): string {
  const pairs: string[] = [];
  for (const byte of bytes) pairs.push(byte.toString(16).padStart(2, "0"));
  return pairs.join(":");
}

/** The same address in canonical text; `undefined` if the text is not valid. */
export function canonicalMac(text: string): string | undefined {
  const bytes = parseMac(text);
  return bytes && formatMac(bytes);
}

/** The link-local IPv6 address that the kernel derives from a MAC address: modified EUI-64 (RFC 4291 appendix A). */
export function linkLocalOf(mac: string): string {
  const bytes = parseMac(mac);
  if (bytes === undefined) throw new RangeError(`cannot parse MAC address "${mac}"`);
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = bytes;
  return formatAddress(Uint8Array.of(0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f));
}

/** Ordinals: the index of an address in its block. */
import { addressBytes, formatAddress } from "../../net/address.ts";
import { addressOf, ordinalOf } from "../../net/prefix.ts";

export function blockAddress({ cidr }: { readonly cidr: string }, ordinal: number): string {
  const bytes = addressBytes(addressOf(cidr)).slice();
  let carry = ordinal;
  for (let i = bytes.length - 1; carry > 0 && i >= 0; i--) {
    carry += bytes[i] ?? 0;
    bytes[i] = carry & 0xff;
    carry >>= 8;
  }
  return formatAddress(bytes);
}

/** `undefined` if the address is not in the block. */
export function blockOrdinal(cidr: string, address: string): number | undefined {
  const ordinal = ordinalOf(cidr, address);
  return ordinal === undefined ? undefined : Number(ordinal);
}

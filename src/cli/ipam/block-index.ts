/** The blocks of a pool, counted from its first address. */
import { addressToBigInt, bigIntToAddress, familyOf } from "../../net/address.ts";
import { addressOf, lengthOf, maskPrefix } from "../../net/prefix.ts";

export interface Blocks {
  /** The pool's CIDR. */
  readonly cidr: string;
  readonly blockSize: number;
}

export function blockCount({ cidr, blockSize }: Blocks): bigint {
  return 1n << BigInt(Math.max(0, blockSize - lengthOf(cidr)));
}

/** The CIDR of the block at an index. */
export function blockAt({ cidr, blockSize }: Blocks, index: bigint): string {
  const first = addressToBigInt(addressOf(cidr)) + (index << shift(cidr, blockSize));
  return `${bigIntToAddress(first, familyOf(cidr))}/${blockSize}`;
}

export function blockIndex({ cidr, blockSize }: Blocks, block: string): bigint {
  const offset = addressToBigInt(addressOf(maskPrefix(block))) - addressToBigInt(addressOf(cidr));
  return offset >> shift(cidr, blockSize);
}

function shift(cidr: string, length: number): bigint {
  return BigInt((familyOf(cidr) === 4 ? 32 : 128) - length);
}

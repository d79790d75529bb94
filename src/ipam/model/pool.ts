/**
 * Pools: the ranges that blocks are cut from, by the meaning of Calico's `IPPool`.
 *
 *     cidr 192.168.0.0/16, blockSize 26    blocks 192.168.0.0/26, 192.168.0.64/26, … 1,024 of them
 */
import { addressToBigInt, bigIntToAddress, type Family, familyOf } from "../../net/address.ts";
import { addressCount, addressOf, canonicalPrefix, lengthOf, maskPrefix } from "../../net/prefix.ts";
import { encodeUtf8 } from "../../net/text.ts";
import { InvalidObject } from "../../store/invalid-object.ts";
import type { StoredObject } from "../../store/object.ts";
import { StoreError } from "../../store/store-error.ts";
import { list, type Transaction } from "../../store/transaction.ts";

export interface Pool {
  readonly name: string;
  /** Canonical. */
  readonly cidr: string;
  readonly family: Family;
  /** The length of the blocks' prefixes. */
  readonly blockSize: number;
  /** Assigns no new addresses; existing ones stay. */
  readonly disabled: boolean;
  readonly natOutgoing: boolean;
  /** Whether it assigns addresses to requests that do not name it (`assignmentMode: Automatic`). */
  readonly automatic: boolean;
  readonly allowedUses: readonly string[];
  readonly nodeSelector: string;
  readonly namespaceSelector: string;
}

/** The keys of `IPPool` that mean something here. */
export interface PoolSpec {
  readonly cidr: string;
  readonly blockSize?: number;
  readonly disabled?: boolean;
  readonly natOutgoing?: boolean;
  readonly assignmentMode?: string;
  readonly allowedUses?: readonly string[];
  readonly nodeSelector?: string;
  readonly namespaceSelector?: string;
  readonly [unknown: string]: unknown;
}

export const defaultBlockSize = { 4: 26, 6: 122 } as const;
const smallestBlockSize = { 4: 20, 6: 116 } as const;
const maxBlockSize = { 4: 32, 6: 128 } as const;

/** The sizes that blocks of more than one address can have, the default first. */
export function blockSizes(family: Family): readonly number[] {
  const smallest = smallestBlockSize[family];
  const all = Array.from({ length: maxBlockSize[family] - smallest }, (_, index) => smallest + index);
  const usual = defaultBlockSize[family];
  return [usual, ...all.filter((size) => size !== usual)];
}

export interface PoolList {
  /** By name. */
  readonly pools: readonly Pool[];
  /** The errors of invalid pools; the valid ones remain usable. */
  readonly faults: readonly StoreError[];
}

export function* listPools(): Transaction<PoolList> {
  const pools: Pool[] = [];
  const faults: StoreError[] = [];
  for (const object of yield* list("IPPool")) {
    try {
      pools.push(decodePool(object));
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      faults.push(error);
    }
  }
  return { pools, faults };
}

/** Throws `InvalidObject` naming the pool and the invalid key. */
export function decodePool({ metadata, spec }: StoredObject): Pool {
  const pool = spec as Partial<PoolSpec>;
  const refuse = (field: string, wanted: string, found: unknown) =>
    new InvalidObject({ kind: "IPPool", name: metadata.name }, { field, wanted, found });
  const cidr = typeof pool.cidr === "string" ? canonicalPrefix(pool.cidr) : undefined;
  if (cidr === undefined) throw refuse("spec.cidr", "a CIDR", pool.cidr);
  const network = maskPrefix(cidr);
  if (network !== cidr) throw refuse("spec.cidr", `no host bits: "${network}"`, cidr);
  const family = familyOf(cidr);
  const blockSize = pool.blockSize ?? defaultBlockSize[family];
  if (blockSize < smallestBlockSize[family] || blockSize > maxBlockSize[family]) {
    throw refuse("spec.blockSize", `${smallestBlockSize[family]} to ${maxBlockSize[family]}`, blockSize);
  }
  if (lengthOf(cidr) > blockSize) throw refuse("spec.cidr", `room for a block of /${blockSize}`, cidr);
  return {
    name: metadata.name,
    cidr,
    family,
    blockSize,
    disabled: pool.disabled === true,
    natOutgoing: pool.natOutgoing === true,
    automatic: pool.assignmentMode !== "Manual",
    allowedUses: pool.allowedUses ?? [],
    nodeSelector: pool.nodeSelector ?? "",
    namespaceSelector: pool.namespaceSelector ?? "",
  };
}

export function blockCount({ cidr, blockSize }: Pool): bigint {
  return 1n << BigInt(blockSize - lengthOf(cidr));
}

/** The block at an index, counted cyclically from a start that depends on the node, so that concurrent nodes rarely collide. */
export function blockAt(pool: Pool, node: string, index: bigint): string {
  const position = (startOf(node) + index) % blockCount(pool);
  const width = pool.family === 4 ? 32 : 128;
  const first = addressToBigInt(addressOf(pool.cidr)) + (position << BigInt(width - pool.blockSize));
  return `${bigIntToAddress(first, pool.family)}/${pool.blockSize}`;
}

/**
 * The distance from the block at `index`, which is in the range, to the first block that the range does not cover. An IPv6 pool has too many
 * blocks to test each.
 */
export function blocksToEnd(pool: Pool, node: string, index: bigint, range: string): bigint {
  const width = BigInt((pool.family === 4 ? 32 : 128) - pool.blockSize);
  const afterRange = addressToBigInt(addressOf(maskPrefix(range))) + addressCount(range);
  const position = (startOf(node) + index) % blockCount(pool);
  const end = (afterRange - addressToBigInt(addressOf(pool.cidr))) >> width;
  return (end < blockCount(pool) ? end : blockCount(pool)) - position;
}

/** The block of an address of the pool. */
export function blockOf(pool: Pool, address: string): string {
  return maskPrefix(`${address}/${pool.blockSize}`);
}

/** FNV-1 of 32 bits, as in Calico. */
function startOf(node: string): bigint {
  let hash = 0x811c9dc5;
  for (const byte of encodeUtf8(node)) hash = Math.imul(hash, 0x01000193) ^ byte;
  return BigInt(hash >>> 0);
}

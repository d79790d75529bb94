/** Counts how much of each pool and block is in use. */
import { attributeAt, type Block } from "../../ipam/model/block.ts";
import { blockAddress } from "../../ipam/model/ordinal.ts";
import type { Pool } from "../../ipam/model/pool.ts";
import { reservedIn } from "../../ipam/model/settings.ts";
import { addressCount, contains } from "../../net/prefix.ts";
import { byCidr, finder } from "./range.ts";

export interface Use {
  readonly cidr: string;
  readonly total: bigint;
  readonly inUse: bigint;
  /** Reserved and not in use. */
  readonly reserved: bigint;
}

export interface BlockUse extends Use {
  /** The node that owns it. */
  readonly owner: string | undefined;
  /** How many of the addresses in use are borrowed by another node. */
  readonly borrowed: number;
  /** How many of the addresses in use are reserved: requested explicitly, or assigned before the reservation. */
  readonly reservedInUse: bigint;
}

export interface PoolUse extends Use {
  readonly name: string;
  readonly blockSize: number;
  readonly disabled: boolean;
  /** Ascending. */
  readonly blocks: readonly BlockUse[];
}

export interface Utilisation {
  /** Ascending. */
  readonly pools: readonly PoolUse[];
  /** Blocks outside of all pools. */
  readonly orphans: readonly BlockUse[];
}

export function utilisation(
  pools: readonly Pool[],
  blocks: readonly Block[],
  reservedCidrs: readonly string[],
): Utilisation {
  const reserved = disjoint(reservedCidrs);
  const poolOf = finder(pools);
  const orphans: BlockUse[] = [];
  const held = new Map<Pool, BlockUse[]>(pools.map((pool) => [pool, []]));
  const uses = blocks.map((block) => blockUse(block, reserved));
  for (const use of byCidr(uses)) {
    const pool = poolOf(use.cidr);
    (pool === undefined ? orphans : held.get(pool))?.push(use);
  }
  return { pools: byCidr(pools).map((pool) => poolUse(pool, held.get(pool) ?? [], reserved)), orphans };
}

/** The name in `host:<node>`; the whole text for another kind of owner. */
export function ownerOfBlock({ spec: { affinity } }: Block): string | undefined {
  if (typeof affinity !== "string" || affinity === "") return undefined;
  return affinity.startsWith("host:") ? affinity.slice("host:".length) : affinity;
}

export interface BorrowedAddresses {
  readonly address: string;
  readonly borrower: string;
  readonly block: string;
  readonly owner: string | undefined;
  readonly type: string;
  readonly allocatedTo: string;
}

/** The addresses of a block that nodes other than its owner have assigned. */
export function borrowedAddresses(block: Block): readonly BorrowedAddresses[] {
  const owner = ownerOfBlock(block);
  return block.spec.allocations.flatMap((index, ordinal) => {
    if (index === null) return [];
    const { handle_id: handle, secondary } = attributeAt(block.spec, ordinal) ?? {};
    const borrower = secondary?.node;
    if (borrower === undefined || borrower === owner) return [];
    const pod = secondary?.pod === undefined ? undefined : `${secondary.namespace ?? ""}/${secondary.pod}`;
    return {
      address: blockAddress(block.spec, ordinal),
      borrower,
      block: block.spec.cidr,
      owner,
      type: secondary?.type ?? (pod === undefined ? "workload" : "pod"),
      allocatedTo: pod ?? handle ?? "",
    };
  });
}

function blockUse(block: Block, reservedCidrs: readonly string[]): BlockUse {
  const { cidr, allocations } = block.spec;
  const isReserved = reservedIn(cidr, reservedCidrs);
  const count = (inUse: boolean, reserved: boolean) =>
    BigInt(allocations.filter((index, at) => (index !== null) === inUse && isReserved(at) === reserved).length);
  const reservedInUse = count(true, true);
  return {
    cidr,
    total: BigInt(allocations.length),
    inUse: count(true, false) + reservedInUse,
    reserved: count(false, true),
    owner: ownerOfBlock(block),
    borrowed: borrowedAddresses(block).length,
    reservedInUse,
  };
}

function poolUse(pool: Pool, blocks: readonly BlockUse[], reservedCidrs: readonly string[]): PoolUse {
  const { name, cidr, blockSize, disabled } = pool;
  const sum = (of: (block: BlockUse) => bigint) => blocks.reduce((total, block) => total + of(block), 0n);
  const whole = reservedCidrs.some((range) => contains(range, cidr));
  const ranges = whole ? [cidr] : reservedCidrs.filter((range) => contains(cidr, range));
  const reserved =
    ranges.reduce((total, range) => total + addressCount(range), 0n) - sum(({ reservedInUse }) => reservedInUse);
  return {
    name,
    cidr,
    blockSize,
    disabled,
    total: addressCount(cidr),
    inUse: sum(({ inUse }) => inUse),
    reserved,
    blocks,
  };
}

/** Omits CIDRs that another one contains. */
function disjoint(cidrs: readonly string[]): readonly string[] {
  const unique = [...new Set(cidrs)];
  return unique.filter((cidr) => !unique.some((other) => other !== cidr && contains(other, cidr)));
}

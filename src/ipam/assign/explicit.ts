/**
 * Assigns requested addresses: all of them or none.
 *
 * Reservations do not apply (they only prevent automatic assignment), and the node claims the block of the address.
 *
 * **An address changes its owner in one write of its block**, if its holder was never released. The former handle is corrected afterwards: until
 * then it names a block without addresses in it, and a late release of it finds nothing.
 */
import { CoreError } from "../../errors/core-error.ts";
import { familyOf } from "../../net/address.ts";
import { contains } from "../../net/prefix.ts";
import type { Transaction } from "../../store/transaction.ts";
import { InvalidRequest } from "../invalid-request.ts";
import { claimBlock, hostAffinity, readBlock } from "../model/affinity.ts";
import {
  type AllocationAttribute,
  assignOrdinal,
  attributeAt,
  type Block,
  expireCooldowns,
  isCooldown,
  release,
  withSpec,
} from "../model/block.ts";
import { type Assigned, addressesOf, type HandleContents } from "../model/handle-contents.ts";
import { blockOrdinal } from "../model/ordinal.ts";
import { blockOf, type Pool } from "../model/pool.ts";
import { type IpamConfig, readIpamConfig } from "../model/settings.ts";
import { NoAddressError } from "../no-address.ts";
import { releaseByHandle } from "../release/release.ts";
import { type AssignArgs, assignWith, attributeOf, type Change } from "./assign.ts";
import { forWorkloads } from "./pool-selection.ts";

export interface ExplicitRequest extends AssignArgs {
  /** Canonical and distinct. */
  readonly addresses: readonly string[];
  /** Whether an address may be taken over from its holder; absent: never. */
  readonly mayTakeOver?: (holder: AllocationAttribute) => boolean;
  /** Addresses that are never assigned: gateways, and the ends of their subnets. */
  readonly reserved?: readonly string[];
}

/**
 * Throws `NoAddressError` if an address is taken or belongs to another node's block, `InvalidRequest` if no pool contains it.
 */
export function* assignAddresses(request: ExplicitRequest): Transaction<readonly Assigned[]> {
  let losers: readonly string[] = [];
  const assigned = yield* assignWith(request, function* (held) {
    const found = yield* findChanges(request, held);
    losers = found.losers;
    return found.changes;
  });
  for (const handle of losers) yield* putRight(handle);
  return assigned;
}

interface Found {
  readonly changes: readonly Change[];
  /** The handles that lose an address. */
  readonly losers: readonly string[];
}

function* findChanges(request: ExplicitRequest, held: HandleContents): Transaction<Found> {
  const has = new Set(addressesOf(held).map(({ address }) => address));
  const missing = request.addresses.filter((address) => !has.has(address));
  const changes = new Map<string, Change>();
  const losers = new Set<string>();
  if (missing.length === 0) return { changes: [], losers: [] };
  const config = yield* readIpamConfig();
  for (const address of missing) {
    const pool = poolOf(request.pools.pools, address);
    const own = request.nodes?.(address, pool.cidr);
    if (own !== undefined) throw new NoAddressError({ why: "the node's", address, reason: own.reason });
    if (request.reserved?.includes(address))
      throw new NoAddressError({ why: "the subnet's", address, pool: pool.cidr });
    const cidr = blockOf(pool, address);
    const earlier = changes.get(cidr);
    const block = earlier?.block ?? (yield* blockFor(request, pool, cidr, config));
    const ordinal = blockOrdinal(cidr, address) ?? 0;
    const current = expireCooldowns(block.spec, config.ipCooldownSeconds, request.now);
    const holder = attributeAt(current, ordinal);
    const loser = holder !== undefined && request.mayTakeOver?.(holder) ? holder.handle_id : undefined;
    if (loser) losers.add(loser);
    const free = loser ? release(current, [ordinal]) : current;
    const spec = assignOrdinal(free, ordinal, attributeOf(request));
    if (spec === undefined) throw taken(block, ordinal, address, config);
    changes.set(cidr, { block: withSpec(block, spec), ordinals: [...(earlier?.ordinals ?? []), ordinal], pool });
  }
  return { changes: [...changes.values()], losers: [...losers] };
}

/** Corrects a handle to its remaining addresses. A failure is left to the handle's release. */
function* putRight(handleId: string): Transaction<void> {
  try {
    yield* releaseByHandle(handleId, () => false);
  } catch (error) {
    if (!(error instanceof CoreError)) throw error;
  }
}

function poolOf(pools: readonly Pool[], address: string): Pool {
  const pool = pools.find((candidate) => !candidate.disabled && contains(candidate.cidr, address));
  if (pool === undefined) {
    const known = pools.filter(({ family, disabled }) => family === familyOf(address) && !disabled);
    throw new InvalidRequest({ what: "address outside pools", address, enabled: known });
  }
  const { name, allowedUses } = pool;
  if (!forWorkloads(pool)) throw new InvalidRequest({ what: "pool's use", address, pool: name, allowedUses });
  return pool;
}

/** The address's block, claimed if it belongs to no node. Borrows from another node's block unless affinity is strict. */
function* blockFor(
  { node, now }: AssignArgs,
  { cidr: pool }: Pool,
  cidr: string,
  { strictAffinity }: IpamConfig,
): Transaction<Block> {
  const block = (yield* readBlock(cidr)) ?? (yield* claimBlock({ node, pool, now }, cidr)) ?? (yield* readBlock(cidr));
  if (block !== undefined && (!strictAffinity || block.spec.affinity === hostAffinity(node))) return block;
  throw new NoAddressError({ why: "not affine", block: cidr, owner: block?.spec.affinity ?? undefined, node });
}

function taken({ spec }: Block, ordinal: number, address: string, { ipCooldownSeconds }: IpamConfig): NoAddressError {
  const owner = attributeAt(spec, ordinal) ?? {};
  if (isCooldown(owner)) return new NoAddressError({ why: "cooldown", address, cooldownSeconds: ipCooldownSeconds });
  const { namespace, pod: name } = owner.secondary ?? {};
  const pod = name === undefined ? {} : { pod: { namespace, name } };
  const holder = { handle: owner.handle_id ?? "", ...pod };
  return new NoAddressError({ why: "taken", address, block: spec.cidr, holder });
}

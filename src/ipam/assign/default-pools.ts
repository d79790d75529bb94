/**
 * The first pools of a node: those that the configuration names by CIDR, otherwise a default as in Calico's start-up.
 *
 * **They are created only if the family has no pool at all**, so an administrator may change or delete them as long as one remains. **All are
 * checked before the first is created**: a refused configuration leaves nothing behind.
 */
import { CoreError } from "../../errors/core-error.ts";
import type { Family } from "../../net/address.ts";
import { familyOf, formatAddress } from "../../net/address.ts";
import { collisionsOf, isClear, type NodeNetworks } from "../../net/node-networks.ts";
import { canonicalPrefix, lengthOf, overlaps } from "../../net/prefix.ts";
import type { StoredObject } from "../../store/object.ts";
import { blockName } from "../../store/object-name.ts";
import type { StoreError } from "../../store/store-error.ts";
import { create, list, remove, type Transaction } from "../../store/transaction.ts";
import { InvalidRequest } from "../invalid-request.ts";
import { decodePool, defaultBlockSize, listPools, type PoolList, type PoolSpec } from "../model/pool.ts";
import type { Wanted } from "./pool-selection.ts";

/** Facts and callbacks that are used only if a pool is created. */
export interface PoolContext {
  /** 5 random bytes. */
  readonly random: () => Uint8Array;
  /** The networks that a new pool must not overlap; `undefined` if a pool may be in a network of the node. */
  readonly networks: (family: Family) => NodeNetworks | undefined;
  /** The destinations of the node's routes. */
  readonly routes: (family: Family) => readonly string[];
  /** Called for a pool in a network of the node. */
  readonly warn: (message: string) => void;
  /** The error of an unreadable pool, if the store has found one. */
  readonly damagedPool: () => StoreError | undefined;
}

interface EnsuredPools extends PoolList {
  /** Those that this call created. */
  readonly created: readonly StoredObject[];
}

/**
 * All pools, including new ones. Throws `InvalidRequest` if a pool must not be created, and `StoreError` if one would have to be created although
 * another one is damaged.
 */
export function* ensureDefaultPools(wanted: readonly Wanted[], around: PoolContext): Transaction<EnsuredPools> {
  const all = yield* listPools();
  const cidrs = yield* missingPools(all, wanted, around);
  if (cidrs.length === 0) return { ...all, created: [] };
  const created: StoredObject[] = [];
  const named = new Set<Family>();
  for (const cidr of cidrs) {
    const family = familyOf(cidr);
    const first = named.has(family) ? undefined : yield* create(newPool(defaultName(family), cidr));
    // The name may be taken by a pool whose CIDR was changed to another family.
    const pool = first ?? (yield* create(newPool(`ippool-${blockName(cidr)}`, cidr)));
    if (pool !== undefined) created.push(pool);
    named.add(family);
  }
  return { ...(yield* listPools()), created };
}

/** Runs `body` with all pools, including new ones. If it fails, the new ones without blocks are removed again. */
export function* withDefaultPools<T>(
  wanted: readonly Wanted[],
  around: PoolContext,
  body: (pools: PoolList) => Transaction<T>,
): Transaction<T> {
  const { created, ...pools } = yield* ensureDefaultPools(wanted, around);
  try {
    return yield* body(pools);
  } catch (error) {
    yield* removeCreated(created);
    throw error;
  }
}

/** The error of the call is the one to report. */
function* removeCreated(created: readonly StoredObject[]): Transaction<void> {
  try {
    for (const pool of created) {
      const { cidr } = pool.spec as PoolSpec;
      const blocks = yield* list("IPAMBlock", { family: familyOf(cidr) });
      if (!blocks.some(({ spec }) => overlaps(cidr, (spec as { readonly cidr: string }).cidr))) yield* remove(pool);
    }
  } catch (error) {
    if (!(error instanceof CoreError)) throw error;
  }
}

/** The CIDRs of the pools that an ADD would create now, after the same validation. Changes nothing. */
export function* missingPools(
  all: PoolList,
  wanted: readonly Wanted[],
  around: PoolContext,
): Transaction<readonly string[]> {
  const cidrs: string[] = [];
  for (const { family, pools: names } of wanted) {
    if (all.pools.some((pool) => pool.family === family)) continue;
    // An invalid pool still belongs to an administrator: do not replace it.
    if ((yield* list("IPPool")).some(({ spec }) => isOfFamily(spec as Partial<PoolSpec>, family))) continue;
    // The same applies to an unreadable one, whose family is unknown.
    const damage = around.damagedPool();
    if (damage !== undefined) throw damage;
    const named = [...new Set(names.flatMap((name) => canonicalPrefix(name) ?? []))];
    if (names.length === 0) cidrs.push(clearCidr(family, around));
    else check(named, family, around);
    cidrs.push(...named);
  }
  return cidrs;
}

function isOfFamily({ cidr }: Partial<PoolSpec>, family: Family): boolean {
  return typeof cidr === "string" && cidr.includes(":") === (family === 6);
}

/** Ranges without addresses that a pod can have. */
const unusable = ["0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3", "::/127", "fe80::/10", "ff00::/8"];

function check(cidrs: readonly string[], family: Family, { networks, warn }: PoolContext): void {
  const node = cidrs.length === 0 ? undefined : networks(family);
  cidrs.forEach((cidr, index) => {
    const refuse = (reason: string) => new InvalidRequest({ what: "new pool", cidr, family, reason });
    const range = unusable.find((one) => overlaps(one, cidr));
    if (range !== undefined) throw refuse(`it overlaps with ${range}, which pods must not use`);
    const other = cidrs.slice(0, index).find((one) => overlaps(one, cidr));
    if (other !== undefined) throw refuse(`it overlaps with "${other}"`);
    decodePool(newPool(defaultName(family), cidr));
    for (const { breaks, text } of node === undefined ? [] : collisionsOf(cidr, node)) {
      if (breaks)
        throw refuse(`it ${text}, so pods could not reach that host; configure a range outside the node's networks`);
      warn(`pool "${cidr}" of "ipam.ipv${family}_pools" ${text}: no other host there may use its addresses`);
    }
  });
}

/**
 * Calico's default: 192.168.0.0/16, or if that overlaps the node's networks the first of 172.16.0.0/16 to 172.31.0.0/16 that does not; for IPv6 a /48
 * of unique local addresses with a random global ID (RFC 4193 section 3).
 */
export function clearCidr(
  family: Family,
  { random, networks, routes }: Pick<PoolContext, "random" | "networks" | "routes">,
): string {
  if (family === 6) return uniqueLocal(random());
  const node = networks(4);
  const destinations = node === undefined ? [] : routes(4);
  const candidates = ["192.168.0.0/16", ...Array.from({ length: 16 }, (_, index) => `172.${16 + index}.0.0/16`)];
  const clear = candidates.find((cidr) => node === undefined || isClear(cidr, node, destinations));
  if (clear !== undefined) return clear;
  throw new InvalidRequest({ what: "default pool" });
}

function uniqueLocal(random: Uint8Array): string {
  const bytes = new Uint8Array(16);
  bytes[0] = 0xfd;
  bytes.set(random.subarray(0, 5), 1);
  return `${formatAddress(bytes)}/48`;
}

function defaultName(family: Family): string {
  return `default-ipv${family}-ippool`;
}

function newPool(name: string, cidr: string): StoredObject<PoolSpec> {
  return {
    apiVersion: "projectcalico.org/v3",
    kind: "IPPool",
    metadata: { name },
    spec: {
      cidr,
      // A pool is one block at least.
      blockSize: Math.max(defaultBlockSize[familyOf(cidr)], lengthOf(cidr)),
      allowedUses: ["Workload", "Tunnel"],
      ipipMode: "Never",
      vxlanMode: "Never",
      // No router outside has a route to these addresses (unique local ones included), because no agent announces them.
      natOutgoing: true,
      nodeSelector: "all()",
    },
  };
}

/** Which pools may give an address: those that were asked for, or those that offer themselves (Calico's determinePools). */
import { CniError, code } from "../cni/error.ts";
import type { Family } from "../net/address.ts";
import { canonicalPrefix } from "../net/prefix.ts";
import type { Pool, PoolList } from "./pool.ts";

export interface Wanted {
  readonly family: Family;
  /** Names or CIDRs; empty: any pool that offers itself. */
  readonly pools: readonly string[];
}

/** Throws `CniError` 7 when a pool that was asked for cannot give, 102 when none offers itself. */
export function selectPools(all: PoolList, { family, pools: wanted }: Wanted, node: string): readonly Pool[] {
  const chosen =
    wanted.length > 0 ? wanted.map((text) => requestedPool(all, family, text)) : offeredPools(all, family, node);
  const usable = chosen.filter(forWorkloads);
  if (usable.length > 0) return usable;
  const uses = chosen.map(({ name, allowedUses }) => `"${name}" allows ${allowedUses.join(", ")}`).join("; ");
  throw new CniError(
    code.noAddress,
    `cannot find a qualified ippool, no pools match the required use (Workload): ${uses}`,
  );
}

export function forWorkloads({ allowedUses }: Pool): boolean {
  return allowedUses.length === 0 || allowedUses.includes("Workload");
}

/** Whoever names a pool gets it, whatever its selectors and its assignment mode say. */
function requestedPool({ pools, faults }: PoolList, family: Family, text: string): Pool {
  const cidr = canonicalPrefix(text);
  const pool = pools.find((candidate) => candidate.name === text || candidate.cidr === cidr);
  if (pool === undefined || pool.disabled) {
    const known = pools.filter((other) => other.family === family && !other.disabled);
    throw new CniError(
      code.invalidConfig,
      `cannot use pool "${text}": the given pool (${text}) does not exist, or is not enabled; ` +
        `enabled IPv${family} pools are ${known.map(({ name, cidr }) => `"${name}" (${cidr})`).join(", ") || "none"}${faultText(faults)}`,
    );
  }
  if (pool.family !== family) {
    throw new CniError(code.invalidConfig, `cannot use pool "${text}" for IPv${family}: its cidr is ${pool.cidr}`);
  }
  return pool;
}

function offeredPools({ pools, faults }: PoolList, family: Family, node: string): readonly Pool[] {
  const enabled = pools.filter((pool) => pool.family === family && !pool.disabled);
  const offered = enabled.filter((pool) => pool.automatic && isEverybody(pool));
  if (offered.length > 0) return offered;
  const why = enabled.map((pool) => `"${pool.name}" ${pool.automatic ? "has a selector" : "is Manual"}`);
  throw new CniError(
    code.noAddress,
    `cannot find an IPv${family} pool: no configured Calico pools for node ${node}` +
      (why.length === 0 ? "" : `: ${why.join("; ")}`) +
      faultText(faults),
  );
}

function faultText(faults: PoolList["faults"]): string {
  return faults.map(({ message }) => `; ${message}`).join("");
}

/** Selectors that ask for more need the node's and the namespace's labels, which the embedded store does not have. */
function isEverybody({ nodeSelector, namespaceSelector }: Pool): boolean {
  return [nodeSelector, namespaceSelector].every((selector) => selector === "" || selector === "all()");
}

/** Which pools may give an address: those that were asked for, or those that offer themselves (Calico's determinePools). */
import { CniError, code } from "../../cni/error.ts";
import { type Family, familyOf } from "../../net/address.ts";
import { canonicalPrefix, lengthOf } from "../../net/prefix.ts";
import { asks, type Scope } from "../model/labels.ts";
import { blockName } from "../model/object-name.ts";
import { defaultBlockSize, type Pool, type PoolList } from "../model/pool.ts";
import { type Labels, parseSelector } from "../model/selector.ts";

export interface Wanted {
  readonly family: Family;
  /** Names or CIDRs; empty: any pool that offers itself. */
  readonly pools: readonly string[];
}

/** Throws `CniError` 7 when a pool that was asked for cannot give, 102 when none offers itself. */
export function selectPools(all: PoolList, { family, pools: wanted }: Wanted, scope: Scope): readonly Pool[] {
  const chosen =
    wanted.length > 0 ? wanted.map((text) => requestedPool(all, family, text)) : offeredPools(all, family, scope);
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
        `enabled IPv${family} pools are ${known.map(({ name, cidr }) => `"${name}" (${cidr})`).join(", ") || "none"}` +
        `${faultText(faults)}; ${wayOut(pool?.name, cidr)}`,
    );
  }
  if (pool.family !== family) {
    throw new CniError(code.invalidConfig, `cannot use pool "${text}" for IPv${family}: its cidr is ${pool.cidr}`);
  }
  return pool;
}

/** How the pool comes to be there: a configuration makes pools on a node that has none, and not beside others. */
function wayOut(disabled: string | undefined, cidr: string | undefined): string {
  if (disabled !== undefined) {
    const change = "sed 's/disabled: true/disabled: false/'";
    return `enable it: tortie get ippool ${disabled} -o yaml | ${change} | tortie apply -f -`;
  }
  if (cidr === undefined) return 'name one of these, or make it by "tortie apply"';
  const spec = { cidr, ...(isNarrow(cidr) && { blockSize: lengthOf(cidr) }), natOutgoing: true };
  const metadata = { name: `ippool-${blockName(cidr)}` };
  const pool = { apiVersion: "projectcalico.org/v3", kind: "IPPool", metadata, spec };
  return (
    "ADD makes pools of a configuration only while the node has none of their family; " +
    `make it beside them: echo '${JSON.stringify(pool)}' | tortie apply -f -`
  );
}

/** Whether it is smaller than a block of Calico's size. */
function isNarrow(cidr: string): boolean {
  return lengthOf(cidr) > defaultBlockSize[familyOf(cidr)];
}

function offeredPools({ pools, faults }: PoolList, family: Family, scope: Scope): readonly Pool[] {
  const enabled = pools.filter((pool) => pool.family === family && !pool.disabled);
  const offered = enabled.filter((pool) => pool.automatic && selects(pool, scope));
  if (offered.length > 0) return offered;
  const why = enabled.map((pool) => `"${pool.name}" ${pool.automatic ? "selects others" : "is Manual"}`);
  throw new CniError(
    code.noAddress,
    `cannot find an IPv${family} pool: no configured Calico pools for node ${scope.node}` +
      (why.length === 0 ? "" : `: ${why.join("; ")}`) +
      faultText(faults),
  );
}

function faultText(faults: PoolList["faults"]): string {
  return faults.map(({ message }) => `; ${message}`).join("");
}

/** Whether a pool offers itself to this node and namespace. */
export function selects({ name, nodeSelector, namespaceSelector }: Pool, scope: Scope): boolean {
  return (
    matches(name, "nodeSelector", nodeSelector, scope.nodeLabels) &&
    matches(name, "namespaceSelector", namespaceSelector, scope.namespaceLabels)
  );
}

function matches(pool: string, key: string, selector: string, labels: Labels | undefined): boolean {
  if (!asks(selector)) return true;
  try {
    return labels !== undefined && parseSelector(selector)(labels);
  } catch (error) {
    if (!(error instanceof CniError)) throw error;
    throw new CniError(error.code, `cannot use IPPool "${pool}": its ${key}: ${error.message}`);
  }
}

/** Selects the pools for an assignment: the requested ones, or those that match automatically (Calico's determinePools). */
import { type Family, familyOf } from "../../net/address.ts";
import { canonicalPrefix, lengthOf, overlaps } from "../../net/prefix.ts";
import { InvalidObject } from "../../store/invalid-object.ts";
import { blockName } from "../../store/object-name.ts";
import { InvalidRequest } from "../invalid-request.ts";
import { needsEvaluation, type Scope } from "../model/labels.ts";
import { defaultBlockSize, type Pool, type PoolList } from "../model/pool.ts";
import { type Labels, parseSelector } from "../model/selector.ts";
import { NoAddressError } from "../no-address.ts";

export interface Wanted {
  readonly family: Family;
  /** Names or CIDRs; empty: any pool that matches automatically. */
  readonly pools: readonly string[];
}

/** Throws `InvalidRequest` if a requested pool cannot be used, `NoAddressError` if none matches. */
export function selectPools(all: PoolList, { family, pools: wanted }: Wanted, scope: Scope): readonly Pool[] {
  const chosen =
    wanted.length > 0 ? wanted.map((text) => requestedPool(all, family, text)) : offeredPools(all, family, scope);
  const usable = chosen.filter(forWorkloads);
  if (usable.length > 0) return usable;
  throw new NoAddressError({ why: "no pool for workloads", pools: chosen });
}

export function forWorkloads({ allowedUses }: Pool): boolean {
  return allowedUses.length === 0 || allowedUses.includes("Workload");
}

/** A pool requested explicitly is used regardless of its selectors and its assignment mode. */
function requestedPool({ pools, faults }: PoolList, family: Family, text: string): Pool {
  const cidr = canonicalPrefix(text);
  const pool = pools.find((candidate) => candidate.name === text || candidate.cidr === cidr);
  if (pool === undefined || pool.disabled) {
    const known = pools.filter((other) => other.family === family && !other.disabled);
    const remedy = wayOut(pool?.name, cidr, pools);
    throw new InvalidRequest({ what: "unknown pool", pool: text, family, enabled: known, faults, remedy });
  }
  if (pool.family !== family) {
    throw new InvalidRequest({ what: "pool's family", pool: text, family, cidr: pool.cidr });
  }
  return pool;
}

/** How to get the pool: a configuration creates pools only on a node that has none. */
function wayOut(disabled: string | undefined, cidr: string | undefined, pools: readonly Pool[]): string {
  if (disabled !== undefined) {
    const change = "sed 's/disabled: true/disabled: false/'";
    return `enable it: tortie get ippool ${disabled} -o yaml | ${change} | tortie apply -f -`;
  }
  if (cidr === undefined) return 'use one of these, or create it with "tortie apply"';
  const other = pools.find((pool) => overlaps(pool.cidr, cidr));
  if (other !== undefined)
    return `it overlaps with pool "${other.name}", ${other.cidr}: use that pool, or a range outside it`;
  const spec = `cidr: ${cidr}, ${isNarrow(cidr) ? `blockSize: ${lengthOf(cidr)}, ` : ""}natOutgoing: true`;
  const pool = `apiVersion: projectcalico.org/v3, kind: IPPool, metadata: {name: ippool-${blockName(cidr)}}, spec: {${spec}}`;
  // Without double quotes: a runtime's log and a plugin's JSON would escape them, and the command could not be pasted.
  return (
    "ADD creates configured pools only while the node has no pool of their family; " +
    `create it with: echo '{${pool}}' | tortie apply -f -`
  );
}

/** Whether it is smaller than a block of Calico's default size. */
function isNarrow(cidr: string): boolean {
  return lengthOf(cidr) > defaultBlockSize[familyOf(cidr)];
}

function offeredPools({ pools, faults }: PoolList, family: Family, scope: Scope): readonly Pool[] {
  const enabled = pools.filter((pool) => pool.family === family && !pool.disabled);
  const offered = enabled.filter((pool) => pool.automatic && selects(pool, scope));
  if (offered.length > 0) return offered;
  const why = enabled.map((pool) => `"${pool.name}" ${pool.automatic ? "selects others" : "is Manual"}`);
  throw new NoAddressError({ why: "no pool offered", family, node: scope.node, passedOver: why, faults });
}

/** Whether a pool's selectors match this node and namespace. */
export function selects({ name, nodeSelector, namespaceSelector }: Pool, scope: Scope): boolean {
  return (
    matches(name, "nodeSelector", nodeSelector, scope.nodeLabels) &&
    matches(name, "namespaceSelector", namespaceSelector, scope.namespaceLabels)
  );
}

function matches(pool: string, key: string, selector: string, labels: Labels | undefined): boolean {
  if (!needsEvaluation(selector)) return true;
  try {
    return labels !== undefined && parseSelector(selector)(labels);
  } catch (error) {
    if (!(error instanceof InvalidRequest) || error.fault.what !== "selector") throw error;
    const wanted = `a selector: ${error.fault.reason}`;
    throw new InvalidObject({ kind: "IPPool", name: pool }, { field: `spec.${key}`, wanted, found: selector });
  }
}

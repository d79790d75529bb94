/** Calico's rules for a resource in relation to others; each error names both sides of a conflict. */
import type { Block, BlockSpec } from "../../ipam/model/block.ts";
import { blockFault } from "../../ipam/model/block-fault.ts";
import { decodePool, type Pool, type PoolSpec } from "../../ipam/model/pool.ts";
import { parseSelector } from "../../ipam/model/selector.ts";
import { contains, lengthOf, overlaps } from "../../net/prefix.ts";
import type { StoredObject } from "../../store/object.ts";
import { StoreError } from "../../store/store-error.ts";
import type { StoreType } from "../store.ts";
import type { StoredKind } from "./kinds.ts";

export interface Neighbours {
  /** The stored object; `undefined` if the resource is new. */
  readonly stored: StoredObject | undefined;
  /** All pools of the store. */
  readonly pools: readonly StoredObject<Partial<PoolSpec>>[];
  readonly blocks: readonly Block[];
}

/** All errors; the resource has passed its schema. */
export function ruleFaults(
  object: StoredObject & { readonly kind: StoredKind },
  type: StoreType,
  near: Neighbours,
): readonly string[] {
  if (object.kind === "IPPool") return poolFaults(object as StoredObject<FullPoolSpec>, type, near);
  if (object.kind === "IPAMBlock") return blockFaults(object as Block, near);
  return [];
}

export interface FullPoolSpec extends PoolSpec {
  readonly ipipMode?: string;
  readonly vxlanMode?: string;
  readonly disableBGPExport?: boolean;
}

const linkLocal = ["169.254.0.0/16", "fe80::/10"];

function poolFaults(pool: StoredObject<FullPoolSpec>, type: StoreType, near: Neighbours): readonly string[] {
  const { cidr } = pool.spec;
  const faults = [...decodingFaults(pool), ...changeFaults(pool.spec, near.stored?.spec as PoolSpec | undefined)];
  for (const range of linkLocal)
    if (overlaps(cidr, range)) faults.push(`its cidr ${cidr} overlaps with link-local ${range}`);
  for (const other of near.pools) {
    if (other.metadata.name === pool.metadata.name || typeof other.spec.cidr !== "string") continue;
    if (overlapsSafely(cidr, other.spec.cidr)) {
      faults.push(`its cidr ${cidr} overlaps with that of IPPool "${other.metadata.name}", ${other.spec.cidr}`);
    }
  }
  if (faults.length === 0) faults.push(...sizeFaults(pool, near.blocks));
  return [
    ...faults,
    ...(type === "file"
      ? encapsulationFaults(pool.spec, near.stored?.spec as FullPoolSpec | undefined)
      : tunnelFaults(pool.spec)),
    ...useFaults(pool.spec),
    ...selectorFaults(pool.spec),
  ];
}

/** Errors that an assignment would run into. */
function decodingFaults(pool: StoredObject<FullPoolSpec>): string[] {
  try {
    decodePool(pool);
    return [];
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    return [error.reason];
  }
}

function changeFaults(spec: PoolSpec, before: PoolSpec | undefined): readonly string[] {
  if (before === undefined) return [];
  const keys = ["cidr", "blockSize"] as const;
  return keys.flatMap((key) =>
    before[key] === undefined || spec[key] === before[key]
      ? []
      : `its ${key} cannot be changed: it is ${before[key]}, and ${spec[key]} was requested; create another pool and delete this one`,
  );
}

/** A block of another size in a pool's range cannot be found by address, nor does it fit beside the pool's own blocks. */
function sizeFaults(pool: StoredObject<FullPoolSpec>, blocks: readonly Block[]): readonly string[] {
  const others = blocks.map((block) => block.spec.cidr).filter((cidr) => overlapsSafely(pool.spec.cidr, cidr));
  const { blockSize } = decodePool(pool);
  const odd = others.find((cidr) => lengthOf(cidr) !== blockSize);
  return odd === undefined ? [] : [`its blockSize ${blockSize} differs from that of the block ${odd} in its range`];
}

/** In a cluster nodes have tunnels to each other. */
function tunnelFaults({ cidr, ipipMode = "Never", vxlanMode = "Never" }: FullPoolSpec): readonly string[] {
  if (ipipMode !== "Never" && vxlanMode !== "Never") return [`its ipipMode and vxlanMode are both enabled`];
  return ipipMode !== "Never" && cidr.includes(":") ? [`its ipipMode is ${ipipMode}, which needs an IPv4 pool`] : [];
}

/** A stored mode may stay, so that other fields can be changed. */
function encapsulationFaults(spec: FullPoolSpec, before: FullPoolSpec | undefined): readonly string[] {
  return (["ipipMode", "vxlanMode"] as const).flatMap((key) => {
    const mode = spec[key] ?? "Never";
    if (mode === "Never" || mode === before?.[key]) return [];
    return `its ${key} is ${mode}, but only nodes of a cluster have tunnels; set it to Never, or omit it`;
  });
}

/** Fields that have no effect here: warnings, not errors. */
export function effectWarnings({ kind, spec }: StoredObject, type: StoreType): readonly string[] {
  if (kind === "IPPool") return poolWarnings(spec as FullPoolSpec, type);
  const { kubeVirtVMAddressPersistence } = spec as Readonly<Record<string, unknown>>;
  if (kind !== "IPAMConfig" || kubeVirtVMAddressPersistence !== "Enabled") return [];
  return ["its kubeVirtVMAddressPersistence has no effect: Tortie does not support virtual machines"];
}

function poolWarnings(
  { ipipMode = "Never", vxlanMode = "Never", allowedUses = [] }: FullPoolSpec,
  type: StoreType,
): readonly string[] {
  const modes = Object.entries(type === "file" ? { ipipMode, vxlanMode } : {}).filter(([, mode]) => mode !== "Never");
  const warnings = modes.map(([key, mode]) => `its ${key} ${mode} has no effect: only nodes of a cluster have tunnels`);
  if (allowedUses.length === 0 || allowedUses.includes("Workload")) return warnings;
  return [...warnings, `it assigns no addresses: its allowedUses (${allowedUses.join(", ")}) do not contain Workload`];
}

function useFaults(spec: FullPoolSpec): readonly string[] {
  const { allowedUses = [], namespaceSelector = "" } = spec;
  const faults: string[] = [];
  if (allowedUses.includes("LoadBalancer")) faults.push(...loadBalancerFaults(spec));
  if (allowedUses.includes("Tunnel") && namespaceSelector !== "") {
    faults.push(`its allowedUses contain Tunnel, but its namespaceSelector is ${JSON.stringify(namespaceSelector)}`);
  }
  return faults;
}

function loadBalancerFaults(spec: FullPoolSpec): readonly string[] {
  const { allowedUses = [], ipipMode = "Never", vxlanMode = "Never", nodeSelector = "all()" } = spec;
  const faults: string[] = [];
  const others = allowedUses.filter((use) => use !== "LoadBalancer");
  if (others.length > 0) faults.push(`its allowedUses contain LoadBalancer, which excludes ${others.join(", ")}`);
  if (ipipMode !== "Never" || vxlanMode !== "Never") faults.push("LoadBalancer excludes ipipMode and vxlanMode");
  if (nodeSelector !== "all()") faults.push(`LoadBalancer requires nodeSelector "all()", not "${nodeSelector}"`);
  if (spec.disableBGPExport === true) faults.push("LoadBalancer excludes disableBGPExport");
  return faults;
}

function selectorFaults({ nodeSelector = "", namespaceSelector = "" }: PoolSpec): readonly string[] {
  return Object.entries({ nodeSelector, namespaceSelector }).flatMap(([key, selector]) =>
    /\bglobal\(\s*\)/.test(selector)
      ? `its ${key} contains global(), which a pool must not use`
      : syntaxFaults(key, selector),
  );
}

function syntaxFaults(key: string, selector: string): readonly string[] {
  try {
    parseSelector(selector);
    return [];
  } catch (error) {
    return [`its ${key} "${selector}" is not a selector: ${(error as Error).message}`];
  }
}

function blockFaults({ spec, metadata }: Block, { pools, blocks }: Neighbours): readonly string[] {
  // Calico up to 3.26 keeps the sequence numbers of released addresses.
  const fault = blockFault({ ...(spec as BlockSpec), sequenceNumberForAllocation: null });
  const faults = fault === undefined ? [] : [fault];
  for (const other of blocks) {
    if (other.metadata.name !== metadata.name && overlapsSafely(spec.cidr, other.spec.cidr)) {
      faults.push(`its cidr ${spec.cidr} overlaps with that of the block ${other.spec.cidr}`);
    }
  }
  const holder = pools.flatMap(decodable).find((pool) => overlaps(pool.cidr, spec.cidr));
  if (holder !== undefined && (!contains(holder.cidr, spec.cidr) || lengthOf(spec.cidr) !== holder.blockSize)) {
    faults.push(
      `its cidr ${spec.cidr} is not a block of /${holder.blockSize} of IPPool "${holder.name}", ${holder.cidr}`,
    );
  }
  return faults;
}

function decodable(pool: StoredObject): readonly Pool[] {
  try {
    return [decodePool(pool)];
  } catch {
    return [];
  }
}

/** A stored value may be anything. */
function overlapsSafely(one: string, other: string): boolean {
  try {
    return overlaps(one, other);
  } catch {
    return false;
  }
}

/** A request to IPAM that is invalid regardless of the state of the store. */
import { CoreError } from "../errors/core-error.ts";
import type { Family } from "../net/address.ts";

export interface NamedPool {
  readonly name: string;
  readonly cidr: string;
}

export type RequestFault =
  | { readonly what: "selector"; readonly selector: string; readonly reason: string }
  /**
   * A pool requested by name or CIDR does not exist, or cannot be used. `enabled`: the enabled pools of the family; `faults`: pools that cannot
   * be used; `remedy`: how to get the pool.
   */
  | {
      readonly what: "unknown pool";
      readonly pool: string;
      readonly family: Family;
      readonly enabled: readonly NamedPool[];
      readonly faults: readonly CoreError[];
      readonly remedy: string;
    }
  | { readonly what: "pool's family"; readonly pool: string; readonly family: Family; readonly cidr: string }
  /** No pool contains the requested address. */
  | { readonly what: "address outside pools"; readonly address: string; readonly enabled: readonly NamedPool[] }
  /** Its pool does not allow workloads (`allowedUses`). */
  | {
      readonly what: "pool's use";
      readonly address: string;
      readonly pool: string;
      readonly allowedUses: readonly string[];
    }
  /** A range in the configuration cannot be a pool. */
  | { readonly what: "new pool"; readonly cidr: string; readonly family: Family; readonly reason: string }
  /** The node's networks use all default ranges. */
  | { readonly what: "default pool" };

export class InvalidRequest extends CoreError {
  override readonly name = "InvalidRequest";
  readonly kind = "invalid";
  readonly fault: RequestFault;

  constructor(fault: RequestFault) {
    super(textOf(fault));
    this.fault = fault;
  }
}

/** Contains Calico's phrases, because people search for them. */
function textOf(fault: RequestFault): string {
  switch (fault.what) {
    case "selector":
      return `cannot read selector "${fault.selector}": ${fault.reason}`;
    case "unknown pool": {
      const { pool, family, enabled, faults, remedy } = fault;
      const broken = faults.map(({ message }) => `; ${message}`).join("");
      return `cannot use pool "${pool}": the given pool (${pool}) does not exist, or is not enabled; enabled IPv${family} pools are ${listed(enabled) || "none"}${broken}; ${remedy}`;
    }
    case "pool's family":
      return `cannot use pool "${fault.pool}" for IPv${fault.family}: its cidr is ${fault.cidr}`;
    case "address outside pools":
      return `cannot assign address ${fault.address}: The provided IP address is not in a configured pool; configured are ${listed(fault.enabled) || "none of its family"}`;
    case "pool's use": {
      const { address, pool, allowedUses } = fault;
      return `cannot assign address ${address}: IP address ${address} is in IP pool "${pool}", which is not allowed for use "Workload" (allowedUses: [${allowedUses.join(" ")}])`;
    }
    case "new pool":
      return `cannot create pool "${fault.cidr}" of "ipam.ipv${fault.family}_pools": ${fault.reason}`;
    case "default pool":
      return 'cannot choose a default pool: 192.168.0.0/16 and 172.16.0.0/16 to 172.31.0.0/16 all overlap with networks of the node; name a free range in "ipam.ipv4_pools"';
  }
}

function listed(pools: readonly NamedPool[]): string {
  return pools.map(({ name, cidr }) => `"${name}" (${cidr})`).join(", ");
}

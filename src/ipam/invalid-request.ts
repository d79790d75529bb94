/** What was asked of IPAM and cannot be, whatever the store holds now. */
import { CoreError } from "../errors/core-error.ts";
import type { Family } from "../net/address.ts";

export abstract class InvalidRequest extends CoreError {
  readonly kind = "invalid";
}

export class SelectorError extends InvalidRequest {
  override readonly name = "SelectorError";
  readonly selector: string;
  readonly reason: string;

  constructor(selector: string, reason: string) {
    super(`cannot read selector "${selector}": ${reason}`);
    this.selector = selector;
    this.reason = reason;
  }
}

export interface NamedPool {
  readonly name: string;
  readonly cidr: string;
}

/** A pool that was asked for by name or CIDR is not there, or gives nothing. */
export class PoolNotUsable extends InvalidRequest {
  override readonly name = "PoolNotUsable";
  readonly pool: string;
  readonly family: Family;

  /** `enabled`: those there are of the family; `faults`: pools that cannot be used; `remedy`: how it comes to be there. */
  constructor(
    pool: string,
    family: Family,
    enabled: readonly NamedPool[],
    faults: readonly CoreError[],
    remedy: string,
  ) {
    super(
      `cannot use pool "${pool}": the given pool (${pool}) does not exist, or is not enabled; ` +
        `enabled IPv${family} pools are ${listed(enabled) || "none"}` +
        `${faults.map(({ message }) => `; ${message}`).join("")}; ${remedy}`,
    );
    this.pool = pool;
    this.family = family;
  }
}

export class PoolOfOtherFamily extends InvalidRequest {
  override readonly name = "PoolOfOtherFamily";
  readonly pool: string;
  readonly family: Family;

  constructor(pool: string, family: Family, cidr: string) {
    super(`cannot use pool "${pool}" for IPv${family}: its cidr is ${cidr}`);
    this.pool = pool;
    this.family = family;
  }
}

/** No pool has the address that was asked for. */
export class AddressOutsidePools extends InvalidRequest {
  override readonly name = "AddressOutsidePools";
  readonly address: string;

  constructor(address: string, enabled: readonly NamedPool[]) {
    super(
      `cannot assign address ${address}: The provided IP address is not in a configured pool; ` +
        `configured are ${listed(enabled) || "none of its family"}`,
    );
    this.address = address;
  }
}

/** The pool of the address that was asked for is for other uses than workloads. */
export class AddressNotForWorkloads extends InvalidRequest {
  override readonly name = "AddressNotForWorkloads";
  readonly address: string;
  readonly pool: string;

  constructor(address: string, pool: string, allowedUses: readonly string[]) {
    super(
      `cannot assign address ${address}: IP address ${address} is in IP pool "${pool}", ` +
        `which is not allowed for use "Workload" (allowedUses: [${allowedUses.join(" ")}])`,
    );
    this.address = address;
    this.pool = pool;
  }
}

/** A range that the configuration names cannot be a pool. */
export class PoolRefused extends InvalidRequest {
  override readonly name = "PoolRefused";
  readonly cidr: string;
  readonly reason: string;

  constructor(cidr: string, family: Family, reason: string) {
    super(`cannot make a pool of "${cidr}" of "ipam.ipv${family}_pools": ${reason}`);
    this.cidr = cidr;
    this.reason = reason;
  }
}

/** All ranges that a node begins with are in use around it. */
export class NoDefaultPool extends InvalidRequest {
  override readonly name = "NoDefaultPool";

  constructor() {
    super(
      "cannot choose a default pool: 192.168.0.0/16 and 172.16.0.0/16 to 172.31.0.0/16 all overlap with networks of the node; " +
        'name a free range in "ipam.ipv4_pools"',
    );
  }
}

function listed(pools: readonly NamedPool[]): string {
  return pools.map(({ name, cidr }) => `"${name}" (${cidr})`).join(", ");
}

/** Why an address cannot be had: each reason with what whoever decides about it has to know. */
import { CoreError } from "../errors/core-error.ts";
import type { Family } from "../net/address.ts";

export abstract class NoAddressError extends CoreError {
  readonly kind = "no-address";
}

export interface Shortage {
  readonly family: Family;
  readonly assigned: number;
  readonly requested: number;
  /** CIDRs. */
  readonly pools: readonly string[];
  readonly strictAffinity: boolean;
}

/** No pool has room. In Calico's words, which people search for. */
export class PoolsExhausted extends NoAddressError {
  override readonly name = "PoolsExhausted";
  readonly shortage: Shortage;

  constructor(shortage: Shortage) {
    const { family, assigned, requested, pools, strictAffinity } = shortage;
    super(
      `failed to request IPv${family} addresses: Assigned ${assigned} out of ${requested} requested IPv${family} addresses; ` +
        (strictAffinity ? "No more free affine blocks and strict affinity enabled; " : "") +
        `No IPs available in pools: [${pools.join(" ")}]`,
    );
    this.shortage = shortage;
  }
}

/** The node may own no further block. */
export class BlockLimitReached extends NoAddressError {
  override readonly name = "BlockLimitReached";
  readonly family: Family;
  readonly limit: number;

  constructor(family: Family, limit: number) {
    super(
      `cannot assign IPv${family} addresses: Need to allocate an IPAM block but could not - ` +
        `limit of ${limit} blocks reached for this node`,
    );
    this.family = family;
    this.limit = limit;
  }
}

/** No pool offers itself to the node and the namespace. */
export class NoPoolOffered extends NoAddressError {
  override readonly name = "NoPoolOffered";
  readonly family: Family;
  readonly node: string;

  /** `passedOver`: why each enabled pool of the family is none; `faults`: pools that cannot be used. */
  constructor(family: Family, node: string, passedOver: readonly string[], faults: readonly CoreError[]) {
    super(
      `cannot find an IPv${family} pool: no configured Calico pools for node ${node}` +
        (passedOver.length === 0 ? "" : `: ${passedOver.join("; ")}`) +
        faults.map(({ message }) => `; ${message}`).join(""),
    );
    this.family = family;
    this.node = node;
  }
}

export interface PoolUses {
  /** The pool's name. */
  readonly name: string;
  readonly allowedUses: readonly string[];
}

/** The pools are for other uses than workloads. */
export class NoPoolForWorkloads extends NoAddressError {
  override readonly name = "NoPoolForWorkloads";
  readonly pools: readonly PoolUses[];

  constructor(pools: readonly PoolUses[]) {
    const uses = pools.map(({ name, allowedUses }) => `"${name}" allows ${allowedUses.join(", ")}`).join("; ");
    super(`cannot find a qualified ippool, no pools match the required use (Workload): ${uses}`);
    this.pools = pools;
  }
}

export interface Holder {
  readonly handle: string;
  readonly pod?: { readonly namespace: string | undefined; readonly name: string };
}

/** Somebody else has the address that was asked for. */
export class AddressTaken extends NoAddressError {
  override readonly name = "AddressTaken";
  readonly address: string;
  readonly holder: Holder;

  constructor(address: string, block: string, holder: Holder) {
    const { handle, pod } = holder;
    const who = pod === undefined ? "" : ` (pod ${pod.namespace}/${pod.name})`;
    super(`cannot assign address ${address}: Address already assigned in block ${block}, to handle "${handle}"${who}`);
    this.address = address;
    this.holder = holder;
  }
}

/** The address that was asked for is nobody's and not free yet. */
export class AddressCooling extends NoAddressError {
  override readonly name = "AddressCooling";
  readonly address: string;

  constructor(address: string, cooldownSeconds: number) {
    super(
      `cannot assign address ${address}: it was released less than ${cooldownSeconds} s ago ` +
        '(ipCooldownSeconds of IPAMConfig "default")',
    );
    this.address = address;
  }
}

/** The address that was asked for is the node's own. */
export class AddressOfNode extends NoAddressError {
  override readonly name = "AddressOfNode";
  readonly address: string;

  /** `reason` reads after "it". */
  constructor(address: string, reason: string) {
    super(`cannot assign address ${address}: it ${reason}`);
    this.address = address;
  }
}

/** Affinity is strict, and the block that was asked for is another node's, or nobody's. */
export class BlockNotAffine extends NoAddressError {
  override readonly name = "BlockNotAffine";
  readonly block: string;
  /** As the block names it: `host:node-1`. */
  readonly owner: string | undefined;

  constructor(block: string, owner: string | undefined, node: string) {
    super(
      `cannot assign an address of block ${block}: Block host affinity does not match; ` +
        `strict affinity is on, the block's owner is "${owner ?? ""}" and this node is "${node}"`,
    );
    this.block = block;
    this.owner = owner;
  }
}

/** What an operator may set beside pools: `IPAMConfig` "default" and `IPReservation`s. */
import { CniError, code } from "../../cni/error.ts";
import { canonicalPrefix, contains, overlaps } from "../../net/prefix.ts";
import { list, read, type Transaction } from "../../store/transaction.ts";
import { blockAddress, type Reserved } from "./block.ts";

export interface IpamConfig {
  /** Addresses only from the node's own blocks. */
  readonly strictAffinity: boolean;
  /** Whether the node may claim further blocks. */
  readonly autoAllocateBlocks: boolean;
  /** Per family; 0: no limit (Calico's 20 shares pools among many nodes, here one node has them all). */
  readonly maxBlocksPerHost: number;
  /** How long a released address stays unused. */
  readonly ipCooldownSeconds: number;
}

const defaults: IpamConfig = {
  strictAffinity: false,
  autoAllocateBlocks: true,
  maxBlocksPerHost: 0,
  ipCooldownSeconds: 0,
};

export function* readIpamConfig(): Transaction<IpamConfig> {
  const object = yield* read("IPAMConfig", "default");
  return object === undefined ? defaults : { ...defaults, ...(object.spec as Partial<IpamConfig>) };
}

/** All reserved ranges. Throws `CniError` 103 that names a reservation when one of its ranges is none. */
export function* listReservedCidrs(): Transaction<readonly string[]> {
  const cidrs: string[] = [];
  for (const { metadata, spec } of yield* list("IPReservation")) {
    for (const text of (spec as { readonly reservedCIDRs?: readonly string[] }).reservedCIDRs ?? []) {
      const cidr = canonicalPrefix(text);
      if (cidr === undefined) {
        throw new CniError(
          code.datastore,
          `cannot use IPReservation "${metadata.name}": "${text}" in reservedCIDRs is no prefix`,
        );
      }
      cidrs.push(cidr);
    }
  }
  return cidrs;
}

const nothing: Reserved = () => false;

/** Which ordinals of a block are reserved. */
export function reservedIn(cidr: string, reservedCidrs: readonly string[]): Reserved {
  const near = reservedCidrs.filter((reserved) => overlaps(reserved, cidr));
  if (near.length === 0) return nothing;
  return (ordinal) => {
    const address = blockAddress({ cidr }, ordinal);
    return near.some((reserved) => contains(reserved, address));
  };
}

/** The reserved range that covers a block whole, if one does. */
export function coveringReservation(cidr: string, reservedCidrs: readonly string[]): string | undefined {
  return reservedCidrs.find((reserved) => contains(reserved, cidr));
}

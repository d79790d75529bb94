/** Settings other than pools: `IPAMConfig` "default" and `IPReservation`s. */
import { canonicalPrefix, contains, overlaps } from "../../net/prefix.ts";
import { InvalidObject } from "../../store/invalid-object.ts";
import { listWhole, read, type Transaction } from "../../store/transaction.ts";
import type { Reserved } from "./block.ts";
import { blockAddress } from "./ordinal.ts";

export interface IpamConfig {
  /** Addresses only from the node's own blocks. */
  readonly strictAffinity: boolean;
  /** Whether the node may claim further blocks. */
  readonly autoAllocateBlocks: boolean;
  /** Per family; 0: no limit (Calico's 20 shares pools among many nodes, here one node has them all). */
  readonly maxBlocksPerHost: number;
  /** How long a released address stays unassigned, in seconds. */
  readonly ipCooldownSeconds: number;
}

const defaults: IpamConfig = {
  strictAffinity: false,
  autoAllocateBlocks: true,
  maxBlocksPerHost: 0,
  ipCooldownSeconds: 0,
};

export function* readIpamConfig(): Transaction<IpamConfig> {
  const object = yield* read({ kind: "IPAMConfig", name: "default" });
  return object === undefined ? defaults : { ...defaults, ...(object.spec as Partial<IpamConfig>) };
}

/** All reserved ranges. Throws `DamagedError` if one is invalid, because its addresses would be assigned otherwise. */
export function* listReservedCidrs(): Transaction<readonly string[]> {
  const cidrs: string[] = [];
  for (const { metadata, spec } of yield* listWhole("IPReservation")) {
    const texts = (spec as { readonly reservedCIDRs?: readonly string[] }).reservedCIDRs ?? [];
    for (const [index, text] of texts.entries()) {
      const cidr = canonicalPrefix(text);
      if (cidr === undefined) {
        const object = { kind: "IPReservation", name: metadata.name } as const;
        throw new InvalidObject(object, { field: `spec.reservedCIDRs[${index}]`, wanted: "a CIDR", found: text });
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

/** A reserved range that covers the whole block, if any. */
export function coveringReservation(cidr: string, reservedCidrs: readonly string[]): string | undefined {
  return reservedCidrs.find((reserved) => contains(reserved, cidr));
}

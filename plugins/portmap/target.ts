/** The targets of mapped ports: the container's addresses in the previous result. */
import type { Result } from "../../src/cni/result.ts";
import { type TableFamily, tableFamilies, tableFamilyOf } from "../../src/net/address.ts";
import { addressOf } from "../../src/net/prefix.ts";

export interface Target {
  readonly family: TableFamily;
  readonly address: string;
  /** With its prefix length, as reported. */
  readonly subnet: string;
}

/**
 * The container's first address of each family. An address without an interface counts as the container's (specification, "ADD success");
 * one of another interface or of the host does not.
 */
export function targetsOf({ ips = [], interfaces = [] }: Result, ifname: string): readonly Target[] {
  return tableFamilies.flatMap((family) => {
    const found = ips.find(({ address, interface: index }) => {
      const owner = index === undefined ? undefined : interfaces[index];
      const isContainers = owner === undefined || (owner.name === ifname && Boolean(owner.sandbox));
      return isContainers && tableFamilyOf(address) === family;
    });
    return found ? [{ family, address: addressOf(found.address), subnet: found.address }] : [];
  });
}

/** The host's interfaces in the result. */
export function hostInterfaces({ interfaces = [] }: Result): readonly string[] {
  return interfaces.filter(({ sandbox }) => !sandbox).map(({ name }) => name);
}

/**
 * Plans and reads the `lo` of a sandbox:
 *
 *     lo ── up ──► the kernel gives it 127.0.0.1/8, and ::1/128 where the sandbox has IPv6
 */
import { CniError, code } from "../../src/cni/error.ts";
import type { Result } from "../../src/cni/result.ts";
import type { NodeFacts } from "../../src/dataplane/node-facts.ts";
import { familyOf } from "../../src/net/address.ts";
import { contains } from "../../src/net/prefix.ts";
import type { Resource } from "../../src/plan/resource.ts";

export const lo = "lo";

/** `lo` up, with the addresses that were read from it. */
export function planLo(addresses: readonly string[], { claim }: { readonly claim: boolean }): readonly Resource[] {
  const at = "sandbox";
  return [
    { kind: "up", at, link: lo, claim },
    ...addresses.map((address) => ({ kind: "address", at, link: lo, address }) as const),
  ];
}

/** Throws `CniError` 100 if the sandbox has no `lo`. */
export function findLo(facts: NodeFacts) {
  const found = facts.link("sandbox", lo);
  if (found === undefined) throw refused("there is no link with this name");
  return found;
}

/** The first address of each family, as in the reference plugin. Throws `CniError` 100 if one is not a loopback address. */
export function addressesOfLo(facts: NodeFacts, index: number): readonly string[] {
  const families = ([4, 6] as const).map((family) =>
    // A kernel without IPv6 answers a dump of IPv6 addresses with all addresses.
    facts.linkAddresses("sandbox", index, family).filter((address) => familyOf(address) === family),
  );
  const foreign = families.flat().find((address) => !isLoopback(address));
  if (foreign !== undefined) throw refused(`its address ${foreign} is not a loopback address`);
  return families.flatMap((addresses) => addresses.slice(0, 1));
}

/** The addresses of `lo` in a result; none if other plugins made the result. Throws `CniError` 101 if `lo` is in another sandbox. */
export function addressesIn({ interfaces = [], ips = [] }: Result, netns: string): readonly string[] {
  const index = interfaces.findIndex(({ name, sandbox }) => name === lo && Boolean(sandbox));
  const found = interfaces[index];
  if (found === undefined) return [];
  if (found.sandbox !== netns) {
    const reason = `prevResult has it in sandbox "${found.sandbox}", CNI_NETNS is "${netns}"`;
    throw new CniError(code.different, `cannot check "${lo}": ${reason}`);
  }
  return ips.flatMap((ip) => (ip.interface === index ? [ip.address] : []));
}

function refused(reason: string): CniError {
  return new CniError(code.refused, `cannot set link ${lo} up in the sandbox: ${reason}`);
}

function isLoopback(address: string): boolean {
  return contains(familyOf(address) === 4 ? "127.0.0.0/8" : "::1/128", address);
}

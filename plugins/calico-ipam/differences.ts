/** CHECK compares the handle's addresses with those of the final result. */
import type { Result } from "../../src/cni/result.ts";
import { canonicalAddress } from "../../src/net/address.ts";
import { addressOf } from "../../src/net/prefix.ts";
import type { ReportedDifference } from "../../src/plugin/differences.ts";

/** The differences; empty if the handle holds exactly the result's addresses. */
export function differences(held: readonly string[], { ips = [] }: Result): readonly ReportedDifference[] {
  const wanted = new Set(ips.map(({ address }) => canonicalAddress(addressOf(address)) ?? address));
  const lost = [...wanted].filter((address) => !held.includes(address));
  const extra = held.filter((address) => !wanted.has(address));
  return [
    ...lost.map((address) => `${address} of prevResult is not assigned to it`),
    ...extra.map((address) => `it holds ${address}, which is not in prevResult`),
  ].map((text) => ({ kind: "allocation", text }));
}

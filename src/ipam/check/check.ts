/**
 * Checks whether IPAM's records are consistent with each other and with the node. A pure function of a snapshot.
 *
 *     store: pools, blocks, handles, affinities ─┐
 *     endpoints' records ────────────────────────┼─► Snapshot ─► checkIpam(snapshot) ─► Report
 *     links, namespaces, addresses on the node ──┘
 *
 *     repair.ts   confirmed(reports, fresh): Problem[]     in every report, and in the fresh one with handle and sequence number alike
 *               repair(problem, fresh, snapshot): Transaction<string | undefined>     what was done, for people; under the lock that both
 *                                                        were taken in; `undefined`: this kind is a person's to decide
 *
 * **An address that is seen in use is never reported as leaked**, whatever the records say. **Addresses of other nodes are not checked.**
 */

import { addressBytes } from "../../net/address.ts";
import { contains, overlaps } from "../../net/prefix.ts";
import { blockCidrOf } from "../../store/object-name.ts";
import type { AffinitySpec } from "../model/affinity.ts";
import type { HandleSpec } from "../model/handle.ts";
import { blockOf } from "../model/pool.ts";
import { allocationsOf } from "./check-allocation.ts";
import { checkAffinities, checkDamage, checkHandles, validBlocks } from "./check-objects.ts";
import type { Allocation, Problem, Report, Snapshot } from "./report.ts";

export function checkIpam(snapshot: Snapshot): Report {
  const { sound, malformed } = validBlocks(snapshot);
  const allocations = [...allocationsOf(sound, snapshot)].sort(byAddress);
  const damaged = checkDamage(snapshot);
  const unreadable = new Set(
    [...malformed.map(({ subject }) => subject), ...damagedBlocks(snapshot)]
      .map(blockCidrOf)
      .filter((cidr) => cidr !== undefined),
  );
  const missing = missingBlocks(snapshot, allocations, [...unreadable, ...sound.map(({ spec }) => spec.cidr)]);
  for (const { subject } of missing) unreadable.add(subject);
  const problems = [
    ...damaged,
    ...malformed,
    ...missing,
    ...allocations.filter(({ state }) => state === "leaked").map(leaked),
    ...unknownAddresses(snapshot, allocations, unreadable),
    ...allocations.filter(({ address }) => !isPooled(snapshot, address)).map(outside),
    ...checkHandles(snapshot, allocations, unreadable),
    ...checkAffinities(snapshot, sound, unreadable),
  ];
  return { allocations, problems };
}

function damagedBlocks({ damaged }: Snapshot): readonly string[] {
  return damaged.flatMap(({ object: { kind, name } }) => (kind === "IPAMBlock" ? [name] : []));
}

function byAddress({ address: one }: Allocation, { address: other }: Allocation): number {
  const [a, b] = [addressBytes(one), addressBytes(other)];
  if (a.length !== b.length) return a.length - b.length;
  const at = a.findIndex((byte, i) => byte !== b[i]);
  return at < 0 ? 0 : (a[at] ?? 0) - (b[at] ?? 0);
}

function leaked({ address, owner, reason }: Allocation): Problem {
  return { kind: "leaked address", subject: address, reason: `is of ${owner}, and ${reason}` };
}

function outside({ address, block, owner }: Allocation): Problem {
  return {
    kind: "address outside pools",
    subject: address,
    reason: `is of ${owner} in block ${block}, but no pool contains it`,
  };
}

/**
 * Missing blocks with addresses of live endpoints: those that handles or affinities name, otherwise those that the pool would be divided into.
 * `present`: the CIDRs of the existing blocks, valid or not.
 */
function missingBlocks(
  snapshot: Snapshot,
  allocations: readonly Allocation[],
  present: readonly string[],
): readonly Problem[] {
  const known = new Set(allocations.map(({ address }) => address));
  const named = [
    ...snapshot.handles.flatMap(({ spec }) => Object.keys((spec as HandleSpec).block)),
    ...snapshot.affinities.map(({ spec }) => (spec as AffinitySpec).cidr),
  ];
  const users = new Map<string, string[]>();
  for (const { addresses, sandbox } of snapshot.endpoints) {
    for (const address of sandbox === "there" ? addresses : []) {
      const pool = snapshot.pools.find(({ cidr }) => contains(cidr, address));
      if (known.has(address) || pool === undefined) continue;
      const cidr = named.find((one) => contains(one, address)) ?? blockOf(pool, address);
      if (!present.some((one) => overlaps(one, cidr))) users.set(cidr, [...(users.get(cidr) ?? []), address]);
    }
  }
  return [...users].map(([subject, addresses]) => ({
    kind: "missing block",
    subject,
    reason: `has no block, but live endpoints have addresses of it: ${abridged(addresses)}`,
  }));
}

const maxNamed = 3;

function abridged(addresses: readonly string[]): string {
  const more = addresses.length - maxNamed;
  return `${addresses.slice(0, maxNamed).join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}

function isPooled({ pools }: Snapshot, address: string): boolean {
  return pools.some(({ cidr }) => contains(cidr, address));
}

/** Addresses within pools that are in use or recorded for a live endpoint but not allocated. */
function unknownAddresses(
  snapshot: Snapshot,
  allocations: readonly Allocation[],
  unreadable: ReadonlySet<string>,
): readonly Problem[] {
  const known = new Set(allocations.map(({ address }) => address));
  const isReserved = (address: string) => snapshot.reserved?.some((cidr) => contains(cidr, address)) === true;
  const used = new Map(
    snapshot.seen.filter(({ address }) => !isReserved(address)).map(({ address, where }) => [address, where]),
  );
  for (const { addresses, netns, sandbox } of snapshot.endpoints) {
    if (sandbox === "there")
      for (const address of addresses) used.set(address, used.get(address) ?? `the endpoint in "${netns}"`);
  }
  return [...used]
    .filter(([address]) => !known.has(address) && isPooled(snapshot, address))
    .filter(([address]) => ![...unreadable].some((cidr) => contains(cidr, address)))
    .map(([subject, where]) => ({
      kind: "unknown address",
      subject,
      reason: `is in use on ${where}, but no block records it`,
    }));
}

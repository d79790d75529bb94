/**
 * Repairs problems that a check found and a new snapshot confirms, one by one.
 *
 *     reports ─┐
 *     fresh ───┴─► confirmed() ─► repair() each         under the lock under which the new snapshot was taken
 *
 * **Only problems in every report are repaired, and only if the object is unchanged**: for an address, handle and sequence number must match.
 */

import { CoreError } from "../../errors/core-error.ts";
import { ownerOf } from "../../identity/attachment.ts";
import { contains } from "../../net/prefix.ts";
import type { StoredObject } from "../../store/object.ts";
import { affinityName } from "../../store/object-name.ts";
import { create, remove, type Transaction, update } from "../../store/transaction.ts";
import {
  type AffinitySpec,
  hostAffinity,
  newAffinity,
  nodeOfAffinity,
  readAffinity,
  readBlock,
} from "../model/affinity.ts";
import { assignOrdinal, isBlock, ordinalsOfHandle, withSpec } from "../model/block.ts";
import { type HandleSpec, handleIdOf, newHandle, readHandle } from "../model/handle.ts";
import { blockOrdinal } from "../model/ordinal.ts";
import { blockOf } from "../model/pool.ts";
import { releaseIps } from "../release/release-ips.ts";
import { subjectOf } from "./check-objects.ts";
import { type KnownUse, repairObject, restoreBlock } from "./repair-object.ts";
import type { Allocation, Problem, Report, Snapshot } from "./report.ts";

/** The problems of the fresh report that are in every other report too. */
export function confirmedProblems(reports: readonly Report[], fresh: Report): readonly Problem[] {
  const known = reports.map((report) => new Set(report.problems.map((problem) => identityOf(problem, report))));
  return fresh.problems.filter((problem) => {
    const identity = identityOf(problem, fresh);
    return known.every((identities) => identities.has(identity));
  });
}

/** Identifies a problem; a leak by its assignment, because the address may have been assigned again. */
function identityOf({ kind, subject }: Problem, report: Report): string {
  const leak = kind === "leaked address" ? leakedAt(report, subject) : undefined;
  return JSON.stringify([kind, subject, leak?.handle, leak?.sequenceNumber]);
}

/** By address, because a report may have as many leaks as a node has addresses. */
const leaksOf = new WeakMap<Report, ReadonlyMap<string, Allocation>>();

function leakedAt(report: Report, address: string): Allocation | undefined {
  let leaks = leaksOf.get(report);
  if (leaks === undefined) {
    const leaked = report.allocations.filter(({ state }) => state === "leaked");
    leaks = new Map(leaked.map((allocation) => [allocation.address, allocation]));
    leaksOf.set(report, leaks);
  }
  return leaks.get(address);
}

/**
 * What was done, as text; `undefined` if a person must decide. Throws `CoreError` if the store refuses.
 *
 * Repair problems in the order of the report: earlier ones may cause later ones.
 */
export function* repair(problem: Problem, fresh: Report, snapshot: Snapshot): Transaction<string | undefined> {
  const { kind, subject } = problem;
  // A cluster's store moves nothing aside, and its endpoints do not tell their handles.
  if (snapshot.cluster !== undefined && nodesOnly.has(kind)) return undefined;
  switch (kind) {
    case "leaked address":
      return yield* repairLeak(subject, fresh);
    case "unknown address":
      return yield* recordAddress(subject, snapshot);
    case "leaked handle":
    case "missing handle":
    case "wrong handle count":
      return yield* repairHandle(subject, snapshot);
    case "malformed block":
      return yield* repairObject({ kind: "IPAMBlock", name: subject }, knownUses(snapshot), snapshot.takenAt);
    case "stale affinity":
      return yield* repairAffinity(subject, snapshot);
    case "missing block":
      return yield* restoreBlock(subject, snapshot.node, knownUses(snapshot), snapshot.takenAt);
    case "damaged object": {
      const object = snapshot.damaged.map((one) => one.object).find((one) => subjectOf(one) === subject);
      return object === undefined ? undefined : yield* repairObject(object, knownUses(snapshot), snapshot.takenAt);
    }
    case "address outside pools":
      return undefined;
  }
}

/** Problems that are repaired only in the files of a node. */
const nodesOnly: ReadonlySet<Problem["kind"]> = new Set([
  "unknown address",
  "malformed block",
  "missing block",
  "damaged object",
]);

/** Another process changed the object since it was read: only where there is no lock. */
class Overtaken extends CoreError {
  override readonly name = "Overtaken";
  readonly kind = "conflict";

  constructor(what: string) {
    super(`cannot write ${what}: another process changed it meanwhile; check again`);
  }
}

function requireWritten(what: string, result: unknown): void {
  if (result === undefined || result === false) throw new Overtaken(what);
}

function* repairLeak(address: string, fresh: Report): Transaction<string | undefined> {
  const leak = leakedAt(fresh, address);
  if (leak === undefined) return undefined;
  const { handle, sequenceNumber } = leak;
  const { errors } = yield* releaseIps([{ address, handle, sequenceNumber: BigInt(sequenceNumber) }]);
  for (const error of errors) throw error;
  return `released ${address} of handle "${handle}"`;
}

/** Records an address for the live endpoint that has it; without an endpoint the owner is unknown. */
function* recordAddress(address: string, snapshot: Snapshot): Transaction<string | undefined> {
  const use = knownUses(snapshot).find((one) => one.address === address);
  const pool = snapshot.pools.find(({ cidr }) => contains(cidr, address));
  if (use === undefined || pool === undefined) return undefined;
  const block = yield* readBlock(blockOf(pool, address));
  if (block === undefined) return undefined;
  const { cidr } = block.spec;
  const attribute = { handle_id: use.handleId, secondary: use.attributes };
  const spec = assignOrdinal(block.spec, blockOrdinal(cidr, address) ?? 0, attribute);
  if (spec === undefined) return undefined;
  yield* countOne(use.handleId, cidr);
  requireWritten(`block ${cidr}`, yield* update(withSpec(block, spec)));
  return `recorded ${address} for handle "${use.handleId}"`;
}

function* countOne(handleId: string, cidr: string): Transaction<void> {
  const handle: StoredObject<HandleSpec> | undefined = yield* readHandle(handleId);
  if (handle === undefined) {
    requireWritten(`handle "${handleId}"`, yield* create(newHandle(handleId, { [cidr]: 1 })));
    return;
  }
  const block = { ...handle.spec.block, [cidr]: (handle.spec.block[cidr] ?? 0) + 1 };
  requireWritten(`handle "${handleId}"`, yield* update({ ...handle, spec: { ...handle.spec, block } }));
}

/** Corrects a handle to what its blocks hold now: other repairs may have changed them since the snapshot. */
function* repairHandle(handleId: string, snapshot: Snapshot): Transaction<string> {
  // The handle first: an operation that changes it after this makes the write below a conflict.
  const handle: StoredObject<HandleSpec> | undefined = yield* readHandle(handleId);
  const counts = yield* countNow(handleId, snapshot);
  const what = `handle "${handleId}"`;
  if (Object.keys(counts).length === 0) {
    if (handle !== undefined) requireWritten(what, yield* remove(handle));
    return `removed handle "${handleId}", which was empty`;
  }
  if (handle === undefined) requireWritten(what, yield* create(newHandle(handleId, counts)));
  else requireWritten(what, yield* update({ ...handle, spec: { ...handle.spec, block: counts } }));
  return `handle "${handleId}" counts ${Object.entries(counts)
    .map(([cidr, count]) => `${count} in ${cidr}`)
    .join(", ")}`;
}

function* countNow(handleId: string, snapshot: Snapshot): Transaction<Readonly<Record<string, number>>> {
  const named = snapshot.handles.map(({ spec }) => spec as HandleSpec).find(({ handleID }) => handleID === handleId);
  const cidrs = new Set(Object.keys(named?.block ?? {}));
  for (const { spec } of snapshot.blocks.filter(isBlock)) {
    if (ordinalsOfHandle(spec, handleId).length > 0) cidrs.add(spec.cidr);
  }
  const counts: Record<string, number> = {};
  for (const cidr of cidrs) {
    const block = yield* readBlock(cidr);
    const count = block === undefined ? 0 : ordinalsOfHandle(block.spec, handleId).length;
    if (count > 0) counts[cidr] = count;
  }
  return counts;
}

/** Finishes an interrupted claim or release: confirms the affinity of a block that the node owns, removes any other. */
function* repairAffinity(
  name: string,
  { node: own, affinities, blocks, cluster }: Snapshot,
): Transaction<string | undefined> {
  const specs: readonly Pick<AffinitySpec, "node" | "cidr">[] = [
    ...affinities.map(({ spec }) => spec as AffinitySpec),
    ...blocks.filter(isBlock).flatMap(({ spec: { affinity, cidr } }) => {
      const node = nodeOfAffinity(affinity ?? undefined);
      return node === undefined ? [] : [{ node, cidr }];
    }),
  ];
  const found = specs.find(({ node, cidr }) => affinityName(node, cidr) === name);
  if (found === undefined || (cluster === undefined && found.node !== own)) return undefined;
  const { node, cidr } = found;
  const affinity = yield* readAffinity(node, cidr);
  const block = yield* readBlock(cidr);
  if (block?.spec.affinity !== hostAffinity(node)) {
    if (affinity !== undefined) requireWritten(`affinity "${name}"`, yield* remove(affinity));
    return `removed affinity "${name}"`;
  }
  const confirmed =
    affinity === undefined
      ? yield* create(newAffinity(node, cidr, "confirmed"))
      : yield* update({ ...affinity, spec: { ...affinity.spec, state: "confirmed" as const } });
  requireWritten(`affinity "${name}"`, confirmed);
  return `confirmed affinity "${name}"`;
}

/** The addresses of every endpoint that is not proven to be dead: they must not be assigned again. */
function knownUses({ node, endpoints, links }: Snapshot): readonly KnownUse[] {
  const owners = new Set(links.map(({ owner }) => owner));
  return endpoints
    .filter(({ attachment, sandbox }) => sandbox !== "gone" || owners.has(ownerOf(attachment)))
    .flatMap(({ attachment, pod, addresses }) =>
      addresses.map((address) => ({
        address,
        handleId: handleIdOf(attachment),
        attributes: {
          interface: attachment.ifname,
          ...(pod !== undefined && { namespace: pod.namespace, pod: pod.name }),
          node,
        },
      })),
    );
}

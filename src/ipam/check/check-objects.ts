/** Whether handles, blocks and affinities agree. */
import type { StoredObject } from "../../store/object.ts";
import { affinityName } from "../../store/object-name.ts";
import type { ObjectRef } from "../../store/store-error.ts";
import { type AffinitySpec, hostAffinity, nodeOfAffinity } from "../model/affinity.ts";
import { type Block, isBlock } from "../model/block.ts";
import { blockFault } from "../model/block-fault.ts";
import type { HandleSpec } from "../model/handle.ts";
import type { Allocation, Problem, Snapshot } from "./report.ts";

/** The valid blocks, and the faults of the others. */
export function validBlocks({ blocks, takenAt }: Snapshot): {
  readonly sound: readonly Block[];
  readonly malformed: readonly Problem[];
} {
  const sound: Block[] = [];
  const malformed: Problem[] = [];
  for (const object of blocks) {
    // Calico up to 3.26 keeps the numbers of released addresses, which is harmless.
    const fault = isBlock(object)
      ? blockFault({ ...object.spec, sequenceNumberForAllocation: null }, takenAt)
      : "its spec lacks cidr, sequenceNumber, allocations, unallocated or attributes";
    if (isBlock(object) && fault === undefined) sound.push(object);
    else malformed.push({ kind: "malformed block", subject: object.metadata.name, reason: fault ?? "" });
  }
  return { sound, malformed };
}

/** Handles are not blamed for blocks that cannot be checked. */
export function checkHandles(
  snapshot: Snapshot,
  allocations: readonly Allocation[],
  unreadable: ReadonlySet<string>,
): readonly Problem[] {
  const counts = countsOf(allocations);
  const specs = snapshot.handles.map(({ spec }) => spec as HandleSpec);
  const problems = specs.flatMap((spec) => checkHandle(spec, counts.get(spec.handleID) ?? {}, unreadable));
  const known = new Set(specs.map(({ handleID }) => handleID));
  const lost = [...counts].filter(([handle]) => !known.has(handle));
  return [
    ...problems,
    ...lost.map(([handle, blocks]) => ({
      kind: "missing handle" as const,
      subject: handle,
      reason: `has addresses in ${Object.keys(blocks).join(", ")}, but there is no such handle`,
    })),
  ];
}

function checkHandle(
  { handleID, block }: HandleSpec,
  held: Readonly<Record<string, number>>,
  unreadable: ReadonlySet<string>,
): readonly Problem[] {
  const named = Object.entries(block).filter(([cidr]) => !unreadable.has(cidr));
  if (Object.keys(held).length === 0 && named.length === Object.keys(block).length) {
    const blocks = named.map(([cidr]) => cidr).join(", ") || "no block";
    return [{ kind: "leaked handle", subject: handleID, reason: `names ${blocks} but has no address in it` }];
  }
  const unnamed = Object.keys(held).filter((cidr) => !(cidr in block));
  if (unnamed.length > 0) {
    return [
      {
        kind: "missing handle",
        subject: handleID,
        reason: `has addresses in ${unnamed.join(", ")}, which it does not name`,
      },
    ];
  }
  const wrong = named.filter(([cidr, count]) => count !== (held[cidr] ?? 0));
  if (wrong.length === 0) return [];
  const reason = wrong.map(([cidr, count]) => `counts ${count} in ${cidr}, which has ${held[cidr] ?? 0}`).join("; ");
  return [{ kind: "wrong handle count", subject: handleID, reason }];
}

/** By handle: the number of addresses in each block. */
function countsOf(allocations: readonly Allocation[]): ReadonlyMap<string, Readonly<Record<string, number>>> {
  const counts = new Map<string, Record<string, number>>();
  for (const { handle, block } of allocations) {
    if (handle === "") continue;
    const blocks = counts.get(handle) ?? {};
    blocks[block] = (blocks[block] ?? 0) + 1;
    counts.set(handle, blocks);
  }
  return counts;
}

/** Checks the affinities of this node, or of all nodes of a cluster (block missing, state not confirmed), and blocks without an affinity. */
export function checkAffinities(
  { node: own, affinities, cluster }: Snapshot,
  sound: readonly Block[],
  unreadable: ReadonlySet<string>,
): readonly Problem[] {
  const isChecked = (node: string) => cluster !== undefined || node === own;
  const owners = new Map(sound.map(({ spec }) => [spec.cidr, spec.affinity ?? undefined]));
  const checked = (affinities as readonly StoredObject<AffinitySpec>[]).filter(
    ({ spec: { node, cidr, type = "host" } }) => isChecked(node) && type === "host" && !unreadable.has(cidr),
  );
  const stale = checked.flatMap(({ spec }): readonly Problem[] => {
    const reason = affinityFault(spec, owners, hostAffinity(spec.node));
    return reason === undefined ? [] : [staleAffinity(spec, reason)];
  });
  const known = new Set(checked.map(({ spec: { node, cidr } }) => affinityName(node, cidr)));
  const missing = [...owners].flatMap(([cidr, owner]) => {
    const node = nodeOfAffinity(owner);
    if (node === undefined || !isChecked(node) || known.has(affinityName(node, cidr))) return [];
    return [staleAffinity({ node, cidr }, `is missing, and block ${cidr} names the node as its owner`)];
  });
  return [...stale, ...missing];
}

function staleAffinity({ node, cidr }: Pick<AffinitySpec, "node" | "cidr">, reason: string): Problem {
  return { kind: "stale affinity", subject: affinityName(node, cidr), reason };
}

function affinityFault(
  { cidr, state }: AffinitySpec,
  owners: ReadonlyMap<string, string | undefined>,
  us: string,
): string | undefined {
  if (!owners.has(cidr)) return `is ${state || "confirmed"}, but there is no block ${cidr}`;
  const owner = owners.get(cidr);
  if (owner !== us)
    return `is ${state || "confirmed"}, and block ${cidr} ${owner === undefined ? "has no owner" : `belongs to "${owner}"`}`;
  return state === "confirmed" || state === "" ? undefined : `is ${state}, and block ${cidr} belongs to the node`;
}

/** The subject of a problem with a damaged object. */
export function subjectOf({ kind, name }: ObjectRef): string {
  return `${kind} ${name}`;
}

export function checkDamage({ damaged }: Snapshot): readonly Problem[] {
  return damaged.map(({ object, reason }) => ({ kind: "damaged object", subject: subjectOf(object), object, reason }));
}

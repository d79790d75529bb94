/** The invariants of a block, for tests and for checks of the store. */
import { addressCount } from "../../net/prefix.ts";
import { readValue } from "../../store/json-text.ts";
import type { AllocationAttribute, BlockSpec, StoredAttribute } from "./block.ts";
import { numberedOrdinals } from "./sequence-numbers.ts";

/** The first violated invariant; `undefined` if the block is valid. With `now` (nanoseconds since the epoch) no release may be later. */
export function blockFault(spec: BlockSpec, now?: bigint): string | undefined {
  const { allocations, attributes, unallocated, sequenceNumberForAllocation } = spec;
  const size = Number(addressCount(spec.cidr));
  if (allocations.length !== size) return `it has ${allocations.length} allocations, not ${size}`;
  const allocated = new Set<number>();
  const used = new Set<number>();
  for (const [ordinal, index] of allocations.entries()) {
    if (index === null) continue;
    if (!(index in attributes)) return `ordinal ${ordinal} names attribute ${index} of ${attributes.length}`;
    allocated.add(ordinal);
    used.add(index);
  }
  for (const index of attributes.keys()) if (!used.has(index)) return `nothing uses attribute ${index}`;
  const unreadable = now === undefined ? undefined : attributeFault(attributes, now);
  if (unreadable !== undefined) return unreadable;
  const free = new Set(unallocated);
  if (free.size !== unallocated.length) return "an ordinal is listed twice in unallocated";
  for (const ordinal of free) {
    if (ordinal < 0 || ordinal >= size) return `free ordinal ${ordinal} is none of its ${size}`;
    if (allocated.has(ordinal)) return `ordinal ${ordinal} is allocated but also listed in unallocated`;
  }
  if (allocated.size + free.size !== size)
    return `${size - allocated.size - free.size} ordinals are neither allocated nor listed in unallocated`;
  for (const ordinal of numberedOrdinals(sequenceNumberForAllocation)) {
    if (!allocated.has(Number(ordinal))) return `ordinal ${ordinal} has a sequence number but no allocation`;
  }
  return undefined;
}

function attributeFault(attributes: readonly StoredAttribute[], now: bigint): string | undefined {
  for (const [index, stored] of attributes.entries()) {
    try {
      const { releasedAt } = readValue<AllocationAttribute>(stored);
      // Allows a minute, because clocks are adjusted.
      if (typeof releasedAt === "string" && Date.parse(releasedAt) > Number(now / 1_000_000n) + 60_000) {
        return `attribute ${index} was released in the future, at ${releasedAt}`;
      }
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      return `attribute ${index} cannot be read: ${error.message}`;
    }
  }
  return undefined;
}

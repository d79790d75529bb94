/**
 * Blocks: a range of addresses, their owners, and the order in which free ones are assigned. Pure: each function returns a new spec.
 *
 *     allocations   [0, 1, null, null]     per ordinal: index into attributes, or free
 *     unallocated   [3, 2]                 free ordinals: assigned from the head, released to the tail
 *     attributes    [{handle_id: "a"}, {handle_id: "b"}]
 *
 * **Every ordinal is allocated or in `unallocated`, once. Every attribute is used.** (`blockFault` checks this.) **A block's sequence number
 * grows with every write, and an ordinal stores the number of its assignment**, so that a late release of an address that was assigned again
 * is recognised.
 */
import { addressCount, canonicalPrefix } from "../../net/prefix.ts";
import { DamagedError } from "../../store/damage.ts";
import { mayContain, readValue, type Unread } from "../../store/json-text.ts";
import { withMember, withoutMember } from "../../store/number-record.ts";
import type { StoredObject } from "../../store/object.ts";
import { blockName } from "../../store/object-name.ts";
import type { SequenceNumbers } from "./sequence-numbers.ts";

export interface AllocationAttribute {
  readonly handle_id?: string | null;
  readonly secondary?: Readonly<Record<string, string>> | null;
  readonly [unknown: string]: unknown;
}

/** Text of the file until it is first read. */
export type StoredAttribute = Unread<AllocationAttribute>;

export interface BlockSpec {
  readonly cidr: string;
  /** `"host:<node>"`; absent if no node owns the block. */
  readonly affinity?: string | null;
  readonly sequenceNumber: bigint | number;
  /** By ordinal (`sequenceNumberOf`). */
  readonly sequenceNumberForAllocation?: SequenceNumbers;
  readonly strictAffinity: boolean;
  readonly deleted: boolean;
  readonly attributes: readonly StoredAttribute[];
  readonly allocations: readonly (number | null)[];
  readonly unallocated: readonly number[];
  readonly [unknown: string]: unknown;
}

export type Block = StoredObject<BlockSpec>;

/** Whether an ordinal of a block is reserved: assigned only on explicit request. */
export type Reserved = (ordinal: number) => boolean;

/** `now` in nanoseconds since the epoch. */
export function newBlock(cidr: string, affinity: string, now: bigint): Block {
  const size = Number(addressCount(cidr));
  return {
    apiVersion: "crd.projectcalico.org/v1",
    kind: "IPAMBlock",
    metadata: { name: blockName(cidr) },
    spec: {
      cidr,
      affinity,
      affinityClaimTime: claimTime(now),
      sequenceNumber: now,
      sequenceNumberForAllocation: {},
      strictAffinity: false,
      deleted: false,
      attributes: [],
      allocations: new Array<null>(size).fill(null),
      unallocated: Array.from({ length: size }, (_, ordinal) => ordinal),
    },
  };
}

/** RFC 3339, in seconds. Calico's nodes take an empty block of another node a minute after it was claimed. */
function claimTime(now: bigint): string {
  return `${new Date(Number(now / 1_000_000n)).toISOString().slice(0, 19)}Z`;
}

/** Throws `DamagedError` if the spec is not a valid block, or has another CIDR. */
export function decodeBlock(object: StoredObject, cidr: string): Block {
  const { name } = object.metadata;
  if (!hasShape(object)) {
    throw malformed(name, "its spec lacks cidr, sequenceNumber, allocations, unallocated or attributes");
  }
  if (object.spec.cidr !== cidr) throw malformed(name, `its cidr is ${JSON.stringify(object.spec.cidr)}, not ${cidr}`);
  return object;
}

export function isBlock(object: StoredObject): object is Block {
  return hasShape(object) && canonicalPrefix(object.spec.cidr) === object.spec.cidr;
}

function hasShape(object: StoredObject): object is Block {
  const spec = object.spec as Partial<BlockSpec>;
  const lists = Array.isArray(spec.allocations) && Array.isArray(spec.unallocated) && Array.isArray(spec.attributes);
  return typeof spec.cidr === "string" && spec.sequenceNumber !== undefined && lists;
}

export function withSpec(block: Block, spec: BlockSpec): Block {
  return { ...block, spec };
}

export interface Assignment {
  readonly spec: BlockSpec;
  readonly ordinals: readonly number[];
}

/** Takes up to `count` ordinals from the head of the unallocated list; reserved ones keep their place in it. */
export function assign(spec: BlockSpec, count: number, attribute: AllocationAttribute, reserved: Reserved): Assignment {
  const ordinals: number[] = [];
  const passedOver: number[] = [];
  for (const ordinal of spec.unallocated) {
    if (ordinals.length === count) break;
    (reserved(ordinal) ? passedOver : ordinals).push(ordinal);
  }
  if (ordinals.length === 0) return { spec, ordinals };
  const rest = spec.unallocated.slice(passedOver.length + ordinals.length);
  return { spec: allocate({ ...spec, unallocated: passedOver.concat(rest) }, ordinals, attribute), ordinals };
}

/** Assigns one ordinal, wherever it is in the list; `undefined` if it is not free. */
export function assignOrdinal(spec: BlockSpec, ordinal: number, attribute: AllocationAttribute): BlockSpec | undefined {
  if (!spec.unallocated.includes(ordinal)) return undefined;
  const unallocated = spec.unallocated.filter((other) => other !== ordinal);
  return allocate({ ...spec, unallocated }, [ordinal], attribute);
}

/** Releases allocated ordinals to the tail of the list, and drops unused attributes. */
export function release(spec: BlockSpec, ordinals: readonly number[]): BlockSpec {
  return {
    ...releaseTo(spec, ordinals, null, spec.attributes),
    unallocated: [...spec.unallocated, ...ordinals],
  };
}

/** Releases allocated ordinals after a cooldown: until `expireCooldowns` they have no owner and are not free. `releasedAt`: RFC 3339. */
export function releaseWithCooldown(spec: BlockSpec, ordinals: readonly number[], releasedAt: string): BlockSpec {
  return releaseTo(spec, ordinals, spec.attributes.length, [...spec.attributes, { releasedAt }]);
}

/** Frees the ordinals that were released `cooldownSeconds` before `now` (nanoseconds since the epoch); the same spec if there are none. */
export function expireCooldowns(spec: BlockSpec, cooldownSeconds: number, now: bigint): BlockSpec {
  const latest = Number(now / 1_000_000n) - cooldownSeconds * 1000;
  const expired = spec.attributes.flatMap((_, index) => {
    const { releasedAt } = cooldownAt(spec, index) ?? {};
    return typeof releasedAt === "string" && Date.parse(releasedAt) <= latest ? [index] : [];
  });
  if (expired.length === 0) return spec;
  const ordinals = spec.allocations.flatMap((index, ordinal) =>
    index !== null && expired.includes(index) ? [ordinal] : [],
  );
  return release(spec, ordinals);
}

/** Whether the attribute belongs to a released address in its cooldown. */
export function isCooldown({ handle_id, releasedAt }: AllocationAttribute): boolean {
  return typeof releasedAt === "string" && (handle_id ?? "") === "";
}

function cooldownAt(spec: BlockSpec, index: number): AllocationAttribute | undefined {
  const stored = spec.attributes[index];
  if (!mayContain(stored, '"releasedAt"')) return undefined;
  const attribute = decodeAttribute(spec, index);
  return attribute !== undefined && isCooldown(attribute) ? attribute : undefined;
}

function releaseTo(
  spec: BlockSpec,
  ordinals: readonly number[],
  index: number | null,
  attributes: readonly StoredAttribute[],
): BlockSpec {
  const allocations = spec.allocations.slice();
  let numbers = spec.sequenceNumberForAllocation ?? {};
  for (const ordinal of ordinals) {
    allocations[ordinal] = index;
    numbers = withoutMember(numbers, ordinal);
  }
  return {
    ...spec,
    ...compact(allocations, attributes),
    sequenceNumber: BigInt(spec.sequenceNumber) + 1n,
    sequenceNumberForAllocation: numbers,
  };
}

/** The ordinals that a handle holds, ascending. */
export function ordinalsOfHandle(spec: BlockSpec, handleId: string): number[] {
  const { attributes, allocations } = spec;
  const mayBeOf = handleFilter(handleId);
  const held: number[] = [];
  for (let i = 0; i < attributes.length; i++) {
    if (mayBeOf(attributes[i]) && decodeAttribute(spec, i)?.handle_id === handleId) held.push(i);
  }
  const ordinals: number[] = [];
  for (const index of held) {
    for (let at = allocations.indexOf(index); at >= 0; at = allocations.indexOf(index, at + 1)) ordinals.push(at);
  }
  return held.length > 1 ? ordinals.sort((one, other) => one - other) : ordinals;
}

/** Throws `DamagedError` if it cannot be read. */
export function attributeAt(spec: BlockSpec, ordinal: number): AllocationAttribute | undefined {
  const index = spec.allocations[ordinal];
  return typeof index === "number" ? decodeAttribute(spec, index) : undefined;
}

export function hasRoom(spec: BlockSpec, reserved: Reserved): boolean {
  return spec.unallocated.some((ordinal) => !reserved(ordinal));
}

export function isEmpty(spec: BlockSpec): boolean {
  return spec.unallocated.length === spec.allocations.length;
}

/** Whether any address has an owner; addresses in their cooldown have none. (Every attribute is used.) */
export function hasAllocations(spec: BlockSpec): boolean {
  return spec.attributes.some((_, index) => cooldownAt(spec, index) === undefined);
}

function allocate(spec: BlockSpec, ordinals: readonly number[], attribute: AllocationAttribute): BlockSpec {
  const found = indexOfAttribute(spec, attribute);
  const index = found < 0 ? spec.attributes.length : found;
  const allocations = spec.allocations.slice();
  let numbers = spec.sequenceNumberForAllocation ?? {};
  for (const ordinal of ordinals) {
    // The last guard against a wrongly edited file: an address with an owner is never assigned again.
    if (allocations[ordinal] !== null)
      throw malformed(blockName(spec.cidr), `ordinal ${ordinal} is allocated but also listed in unallocated`);
    allocations[ordinal] = index;
    numbers = withMember(numbers, ordinal, spec.sequenceNumber);
  }
  return {
    ...spec,
    allocations,
    attributes: found < 0 ? [...spec.attributes, attribute] : spec.attributes,
    sequenceNumber: BigInt(spec.sequenceNumber) + 1n,
    sequenceNumberForAllocation: numbers,
  };
}

/** -1 if the block has no equal one. */
function indexOfAttribute(spec: BlockSpec, attribute: AllocationAttribute): number {
  const mayBeOf = handleFilter(attribute.handle_id ?? "");
  return spec.attributes.findIndex((stored, index) => {
    const other = mayBeOf(stored) ? decodeAttribute(spec, index) : undefined;
    return other !== undefined && sameAttribute(other, attribute);
  });
}

/** Skips most attributes of other handles without decoding them. */
function handleFilter(handleId: string): (attribute: StoredAttribute | undefined) => boolean {
  const quoted = JSON.stringify(handleId);
  return (attribute) => mayContain(attribute, quoted);
}

function decodeAttribute({ attributes, cidr }: BlockSpec, index: number): AllocationAttribute | undefined {
  const attribute = attributes[index];
  try {
    return attribute && readValue<AllocationAttribute>(attribute);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw malformed(blockName(cidr), `its attribute ${index} is damaged: ${error.message}`);
  }
}

function malformed(name: string, reason: string): DamagedError {
  return new DamagedError("use", { kind: "IPAMBlock", name }, reason);
}

/** Attributes with further keys (an alternate owner, a release time) are never shared. */
function sameAttribute(one: AllocationAttribute, other: AllocationAttribute): boolean {
  if (one.handle_id !== other.handle_id) return false;
  const { handle_id: _one, secondary: oneKeys, ...oneRest } = one;
  const { handle_id: _other, secondary: otherKeys, ...otherRest } = other;
  if (Object.keys(oneRest).length > 0 || Object.keys(otherRest).length > 0) return false;
  const keys = Object.entries(oneKeys ?? {});
  return (
    keys.length === Object.keys(otherKeys ?? {}).length && keys.every(([key, value]) => otherKeys?.[key] === value)
  );
}

/** Drops attributes that no ordinal refers to, and renumbers the others. */
function compact(
  allocations: readonly (number | null)[],
  attributes: readonly StoredAttribute[],
): Pick<BlockSpec, "allocations" | "attributes"> {
  let named = allocations;
  const kept = attributes.slice();
  for (let index = kept.length - 1; index >= 0; index--) {
    if (named.includes(index)) continue;
    kept.splice(index, 1);
    named = named.map((other) => (other !== null && other > index ? other - 1 : other));
  }
  return { allocations: named, attributes: kept };
}

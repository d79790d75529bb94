/**
 * Repairs a damaged object: it is set aside, never deleted, and written again from other sources:
 *
 *     block      what is still readable of it, endpoint records; its owner from the affinities; addresses that a handle counts but no source
 *                names go to a placeholder
 *     handle     the blocks that name it
 *     affinity   the block that names the node as its owner
 *
 * **A repair never gives an address a second owner.** Pools, reservations and settings are written by people, so they are only reported.
 */
import { canonicalAddress } from "../../net/address.ts";
import { contains } from "../../net/prefix.ts";
import { DamagedError } from "../../store/damage.ts";
import { affinityName, blockCidrOf, handleName } from "../../store/object-name.ts";
import type { ObjectRef } from "../../store/store-error.ts";
import { create, list, moveDamagedAside, read, remove, type Transaction } from "../../store/transaction.ts";
import { type AffinitySpec, hostAffinity, newAffinity } from "../model/affinity.ts";
import {
  type AllocationAttribute,
  assignOrdinal,
  attributeAt,
  type Block,
  type BlockSpec,
  isBlock,
  newBlock,
  ordinalsOfHandle,
  withSpec,
} from "../model/block.ts";
import { type HandleSpec, newHandle, readHandle } from "../model/handle.ts";
import { blockOrdinal } from "../model/ordinal.ts";
import { placeholderOf } from "../model/placeholder.ts";

/** An address in use according to a source outside the store. */
export interface KnownUse {
  readonly address: string;
  readonly handleId: string;
  /** The attributes that an assignment would store (`secondary`). */
  readonly attributes: Readonly<Record<string, string>>;
}

/** What was done, as text; `undefined` if a person must decide. `now` in nanoseconds since the epoch. */
export function* repairObject(
  { kind, name }: ObjectRef,
  uses: readonly KnownUse[],
  now: bigint,
): Transaction<string | undefined> {
  switch (kind) {
    case "IPAMBlock":
      return yield* repairBlock(name, uses, now);
    case "IPAMHandle":
      return yield* repairHandle(name);
    case "BlockAffinity":
      return yield* repairAffinity(name);
    default:
      return undefined;
  }
}

function* repairBlock(name: string, uses: readonly KnownUse[], now: bigint): Transaction<string> {
  const cidr = blockCidrOf(name);
  if (cidr === undefined) {
    yield* moveDamagedAside({ kind: "IPAMBlock", name });
    return `set IPAMBlock "${name}" aside: its name is not the name of a block`;
  }
  const old = yield* readable(name, cidr);
  const affinity = old?.affinity ?? (yield* ownerByAffinity(cidr));
  const { block, account } = yield* rebuilt(cidr, { affinity, old, uses, now });
  yield* moveDamagedAside({ kind: "IPAMBlock", name }, block);
  return `set IPAMBlock "${name}" aside and rebuilt it: ${account}`;
}

/** Creates a missing block with addresses of this node's endpoints, from the same sources as for an unreadable block. */
export function* restoreBlock(cidr: string, node: string, uses: readonly KnownUse[], now: bigint): Transaction<string> {
  const affinity = (yield* ownerByAffinity(cidr)) ?? hostAffinity(node);
  const { block, account } = yield* rebuilt(cidr, { affinity, old: undefined, uses, now });
  yield* create(block);
  return `rebuilt block ${cidr}: ${account}`;
}

interface Remains {
  readonly affinity: string | undefined;
  readonly old: BlockSpec | undefined;
  readonly uses: readonly KnownUse[];
  readonly now: bigint;
}

/** The block according to the sources, and a description of that for people. */
function* rebuilt(
  cidr: string,
  { affinity, old, uses, now }: Remains,
): Transaction<{ readonly block: Block; readonly account: string }> {
  const known = knownOwners(cidr, old, yield* byHandles(cidr, uses));
  let block = fill(orderedAs(newBlock(cidr, affinity ?? "", firstNumber(old, now)), old), known);
  const lost = yield* lostHandles(cidr, block);
  const kept = block.spec.unallocated;
  if (lost.length > 0 && kept.length > 0) {
    const handle = placeholderOf(cidr);
    yield* putHandle(handle, { [cidr]: kept.length });
    block = fill(block, new Map(kept.map((ordinal) => [ordinal, { handle_id: handle }])));
  }
  if (affinity === undefined) block = withSpec(block, { ...block.spec, affinity: null });
  const withheld = lost.length > 0 ? `, ${kept.length} withheld for ${lost.map((id) => `"${id}"`).join(", ")}` : "";
  return { block, account: `${count(known.size)} known to be in use${withheld}` };
}

function count(addresses: number): string {
  return addresses === 1 ? "1 address is" : `${addresses} addresses are`;
}

/** The readable parts of the block; `undefined` if there are none. */
function* readable(name: string, cidr: string): Transaction<BlockSpec | undefined> {
  try {
    const object = yield* read({ kind: "IPAMBlock", name });
    return object !== undefined && isBlock(object) && object.spec.cidr === cidr ? object.spec : undefined;
  } catch (error) {
    if (!(error instanceof DamagedError)) throw error;
    return undefined;
  }
}

function* ownerByAffinity(cidr: string): Transaction<string | undefined> {
  const specs = (yield* list("BlockAffinity")).map(({ spec }) => spec as AffinitySpec);
  const owner = specs.find((spec) => spec.cidr === cidr && spec.state !== "pendingDeletion");
  return owner === undefined ? undefined : hostAffinity(owner.node);
}

/** Sorts uses whose handle names the block last: a pod's next sandbox may have taken over an address that the earlier one's record still has. */
function* byHandles(cidr: string, uses: readonly KnownUse[]): Transaction<readonly KnownUse[]> {
  const specs = (yield* list("IPAMHandle")).map((object) => object.spec as Partial<HandleSpec>);
  const named = new Set(specs.filter(({ block }) => block?.[cidr] !== undefined).map(({ handleID }) => handleID));
  return [
    ...uses.filter(({ handleId }) => !named.has(handleId)),
    ...uses.filter(({ handleId }) => named.has(handleId)),
  ];
}

/** Owners by ordinal. The block itself takes precedence over other sources. */
function knownOwners(
  cidr: string,
  old: BlockSpec | undefined,
  uses: readonly KnownUse[],
): ReadonlyMap<number, AllocationAttribute> {
  const known = new Map<number, AllocationAttribute>();
  for (const { address, handleId, attributes } of uses) {
    const canonical = canonicalAddress(address);
    if (canonical === undefined || !contains(cidr, canonical)) continue;
    known.set(blockOrdinal(cidr, canonical) ?? 0, { handle_id: handleId, secondary: attributes });
  }
  const size = newBlock(cidr, "", 0n).spec.allocations.length;
  for (let ordinal = 0; old !== undefined && ordinal < size; ordinal++) {
    const attribute = attributeOf(old, ordinal);
    if (attribute !== undefined) known.set(ordinal, attribute);
  }
  return known;
}

function attributeOf(spec: BlockSpec, ordinal: number): AllocationAttribute | undefined {
  try {
    const attribute = attributeAt(spec, ordinal);
    return typeof attribute === "object" && attribute !== null ? attribute : undefined;
  } catch (error) {
    if (!(error instanceof DamagedError)) throw error;
    return undefined;
  }
}

/** A sequence number above all that the block can have used. */
function firstNumber(old: BlockSpec | undefined, now: bigint): bigint {
  const { sequenceNumber } = old ?? {};
  const last =
    typeof sequenceNumber === "bigint" || Number.isSafeInteger(sequenceNumber) ? BigInt(sequenceNumber ?? 0) : 0n;
  return last >= now ? last + 1n : now;
}

/** Keeps the order of release: the addresses released last are assigned last. */
function orderedAs(block: Block, old: BlockSpec | undefined): Block {
  const all = block.spec.unallocated;
  const before = (old?.unallocated ?? []).filter((ordinal) => all.includes(ordinal));
  return withSpec(block, { ...block.spec, unallocated: [...new Set([...before, ...all])] });
}

function fill(block: Block, owners: ReadonlyMap<number, AllocationAttribute>): Block {
  let { spec } = block;
  for (const [ordinal, attribute] of owners) spec = assignOrdinal(spec, ordinal, attribute) ?? spec;
  return withSpec(block, spec);
}

/** Handles that count more addresses of the block than the block has for them. */
function* lostHandles(cidr: string, { spec }: Block): Transaction<readonly string[]> {
  const handles = (yield* list("IPAMHandle")).map((object) => object.spec as Partial<HandleSpec>);
  return handles.flatMap(({ handleID, block }) => {
    if (handleID === undefined || handleID === placeholderOf(cidr)) return [];
    return (block?.[cidr] ?? 0) > ordinalsOfHandle(spec, handleID).length ? [handleID] : [];
  });
}

function* putHandle(handleId: string, counts: Readonly<Record<string, number>>): Transaction<void> {
  const before = yield* readHandle(handleId);
  if (before !== undefined) yield* remove(before);
  yield* create(newHandle(handleId, counts));
}

function* repairHandle(name: string): Transaction<string> {
  const counts: Record<string, number> = {};
  let handleId = "";
  for (const object of yield* list("IPAMBlock")) {
    if (!isBlock(object)) continue;
    const { spec } = object;
    for (let ordinal = 0; ordinal < spec.allocations.length; ordinal++) {
      const id = attributeOf(spec, ordinal)?.handle_id ?? "";
      if (id === "" || handleName(id) !== name) continue;
      handleId = id;
      counts[spec.cidr] = (counts[spec.cidr] ?? 0) + 1;
    }
  }
  yield* moveDamagedAside({ kind: "IPAMHandle", name }, handleId === "" ? undefined : newHandle(handleId, counts));
  const blocks = Object.keys(counts).join(", ");
  return `set IPAMHandle "${name}" aside${handleId === "" ? ": no block contains it" : ` and rebuilt it from ${blocks}`}`;
}

function* repairAffinity(name: string): Transaction<string> {
  const owned = (yield* list("IPAMBlock")).filter(isBlock).flatMap(({ spec: { cidr, affinity } }) => {
    const node = affinity?.startsWith(hostAffinity("")) ? affinity.slice(hostAffinity("").length) : undefined;
    return node !== undefined && affinityName(node, cidr) === name ? [newAffinity(node, cidr, "confirmed")] : [];
  });
  yield* moveDamagedAside({ kind: "BlockAffinity", name }, owned[0]);
  return `set BlockAffinity "${name}" aside${owned[0] === undefined ? ": no block names it" : " and rebuilt it from its block"}`;
}

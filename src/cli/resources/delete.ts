/** Deletes the store's objects, as transactions: refuses objects in use, unless forced. */
import { type AffinitySpec, hostAffinity, readBlock, releaseBlock } from "../../ipam/model/affinity.ts";
import { type Block, isBlock } from "../../ipam/model/block.ts";
import { readHandleContents } from "../../ipam/model/handle-contents.ts";
import type { PoolSpec } from "../../ipam/model/pool.ts";
import { contains } from "../../net/prefix.ts";
import { keyOf } from "../../store/key.ts";
import type { StoredObject } from "../../store/object.ts";
import { list, moveDamagedAside, read, remove, type Transaction, update } from "../../store/transaction.ts";
import { CliError } from "../error.ts";
import { ownerOfBlock } from "../ipam/utilisation.ts";
import type { ResourceKind } from "./kinds.ts";
import { qualifiedName } from "./references.ts";
import { nameOf } from "./resource.ts";
import { keptAside, readStored, type Stored } from "./stored.ts";
import type { Change } from "./write.ts";

/** Throws `CliError` if it does not exist, or if it is in use and `force` is not set. */
export function* deleteResource(kind: ResourceKind, name: string, force: boolean): Transaction<Change> {
  const resource = { kind, metadata: { name } };
  const refuse = (reason: string) => new CliError(`cannot delete ${nameOf(resource)}: ${reason}`);
  const { stored, damage } =
    kind === "WorkloadEndpoint" ? yield* findEndpoint(name) : yield* readStored({ kind, name });
  if (damage !== undefined) {
    if (!force) throw refuse(`${damage}; --force takes that file out of its place, and keeps it beside`);
    yield* moveDamagedAside({ kind, name });
    return { action: "deleted", resource, more: keptAside };
  }
  if (stored === undefined) throw refuse("there is none");
  const need = force ? undefined : yield* needOf(stored);
  if (need !== undefined) throw refuse(`${need} (pass --force)`);
  if (kind === "IPPool")
    return { action: "deleted", resource, more: yield* deletePool(stored as StoredObject<PoolSpec>) };
  if (kind === "IPAMBlock" && isBlock(stored)) yield* giveUp(stored);
  const left = yield* read(keyOf(stored));
  if (left !== undefined && !(yield* remove(left))) throw refuse("another process changed it meanwhile; try again");
  return { action: "deleted", resource };
}

/** `<name>` or `<namespace>/<name>`; of several with the name, the first. */
function* findEndpoint(name: string): Transaction<Stored> {
  const stored = (yield* list("WorkloadEndpoint")).find(({ metadata }) =>
    [metadata.name, qualifiedName({ metadata })].includes(name),
  );
  return { stored, damage: undefined };
}

/** What uses it; `undefined` if nothing does. */
function* needOf(stored: StoredObject): Transaction<string | undefined> {
  if (stored.kind === "IPPool") return inUse(yield* blocksOf(stored as StoredObject<PoolSpec>));
  if (stored.kind === "IPAMBlock") return isBlock(stored) ? inUse([stored]) : undefined;
  if (stored.kind === "IPAMHandle") {
    const held = yield* readHandleContents((stored.spec as { readonly handleID: string }).handleID);
    return held.blocks.length === 0 ? undefined : "it holds addresses; use tortie ipam release";
  }
  if (stored.kind === "BlockAffinity") {
    const { node, cidr } = stored.spec as AffinitySpec;
    const block = yield* readBlock(cidr);
    return block?.spec.affinity === hostAffinity(node) ? `"${node}" owns the block ${cidr}` : undefined;
  }
  return undefined;
}

function inUse(blocks: readonly Block[]): string | undefined {
  const counts = blocks.map(({ spec }) => spec.allocations.length - spec.unallocated.length);
  const count = counts.reduce((sum, some) => sum + some, 0);
  if (count === 0) return undefined;
  return `${count} of its addresses ${count === 1 ? "is" : "are"} in use`;
}

/** As calicoctl: disables the pool, then releases its affinities, then deletes it. A process killed in between leaves a disabled pool. */
function* deletePool(pool: StoredObject<PoolSpec>): Transaction<string> {
  const disabled =
    pool.spec.disabled === true ? pool : yield* update({ ...pool, spec: { ...pool.spec, disabled: true } });
  if (disabled === undefined) throw new CliError(`cannot delete ${nameOf(pool as never)}: another process changed it`);
  const blocks = yield* blocksOf(pool);
  const owned = blocks.filter((block) => ownerOfBlock(block) !== undefined);
  for (const block of owned) yield* giveUp(block);
  yield { op: "forget room", pool: pool.spec.cidr };
  yield* remove(disabled);
  return `${owned.length} ${owned.length === 1 ? "affinity" : "affinities"} released`;
}

function* giveUp(block: Block): Transaction<void> {
  const owner = ownerOfBlock(block);
  if (owner !== undefined && block.spec.affinity === hostAffinity(owner)) yield* releaseBlock(owner, block.spec.cidr);
}

function* blocksOf({ spec }: StoredObject<PoolSpec>): Transaction<readonly Block[]> {
  const blocks = (yield* list("IPAMBlock")).filter(isBlock);
  return blocks.filter((block) => contains(spec.cidr, block.spec.cidr));
}

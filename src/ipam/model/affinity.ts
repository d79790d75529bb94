/**
 * Affinities: which node owns which block. An affinity is written before its block and removed after it.
 *
 *     claim     affinity pending → block created → affinity confirmed
 *     release   affinity pendingDeletion → block deleted (or, while in use, left without owner) → affinity deleted
 *
 * **The block decides**: a block that names the node as its owner belongs to the node, in whatever state a killed process left the affinity.
 * The next operation finishes the claim.
 */
import { affinityLabels } from "../../store/affinity-labels.ts";
import type { StoredObject } from "../../store/object.ts";
import { affinityName } from "../../store/object-name.ts";
import { TooManyConflicts } from "../../store/too-many-conflicts.ts";
import { create, maxTries, pause, read, remove, type Transaction, update } from "../../store/transaction.ts";
import { type Block, decodeBlock, isEmpty, newBlock, withSpec } from "./block.ts";

export interface AffinitySpec {
  readonly cidr: string;
  readonly node: string;
  readonly type: "host";
  /** Empty in old data: confirmed. */
  readonly state: "pending" | "confirmed" | "pendingDeletion" | "";
  /** A string, as in Calico's schema. */
  readonly deleted: "false" | "true";
}

/** Lets a release find the pool's cursor without reading all pools. */
const poolAnnotation = "tortie/pool";

type Affinity = StoredObject<AffinitySpec>;

/** The `affinity` of a block that the node owns. */
export function hostAffinity(node: string): string {
  return `host:${node}`;
}

/** The node in a block's `affinity`; `undefined` if no node owns the block. */
export function nodeOfAffinity(affinity: string | undefined): string | undefined {
  return affinity?.startsWith("host:") === true ? affinity.slice("host:".length) : undefined;
}

export interface Claim {
  readonly node: string;
  /** The CIDR of the pool that the block is cut from. */
  readonly pool: string;
  /** Nanoseconds since the epoch. */
  readonly now: bigint;
}

/** The node's block with this CIDR, created if there is none; `undefined` if the block belongs to another node or has no owner. */
export function* claimBlock(claim: Claim, cidr: string): Transaction<Block | undefined> {
  const { node, now } = claim;
  for (let tries = 0; tries < maxTries; tries++) {
    yield* pause(tries);
    const existing = yield* readBlock(cidr);
    if (existing !== undefined && existing.spec.affinity !== hostAffinity(node)) {
      yield* removeAffinity(node, cidr);
      return undefined;
    }
    const pending = yield* setState(node, cidr, existing === undefined ? "pending" : "confirmed", claim.pool);
    if (pending === undefined) continue;
    if (existing !== undefined) return existing;
    const block = yield* create(newBlock(cidr, hostAffinity(node), now));
    if (block === undefined) continue;
    yield* setState(node, cidr, "confirmed");
    return decodeBlock(block, cidr);
  }
  throw new TooManyConflicts(`claim block ${cidr}`);
}

/** Releases a block: deletes it, or, if it is in use, removes its owner and keeps its allocations. */
export function* releaseBlock(node: string, cidr: string): Transaction<void> {
  for (let tries = 0; tries < maxTries; tries++) {
    yield* pause(tries);
    const block = yield* readBlock(cidr);
    if (block?.spec.affinity === hostAffinity(node)) {
      if ((yield* setState(node, cidr, "pendingDeletion")) === undefined) continue;
      const done = isEmpty(block.spec) ? yield* remove(block) : yield* update(withoutOwner(block));
      if (!done) continue;
    }
    if (yield* removeAffinity(node, cidr)) return;
  }
  throw new TooManyConflicts(`release block ${cidr}`);
}

/** Whether the node owns the block or is claiming it. */
export function* hasAffinity(node: string, cidr: string): Transaction<boolean> {
  return (yield* readAffinity(node, cidr)) !== undefined;
}

export function* readBlock(cidr: string): Transaction<Block | undefined> {
  const object = yield* read({ kind: "IPAMBlock", cidr });
  return object === undefined ? undefined : decodeBlock(object, cidr);
}

export function* readAffinity(node: string, cidr: string): Transaction<Affinity | undefined> {
  return (yield* read({ kind: "BlockAffinity", node, cidr })) as Affinity | undefined;
}

/** Whether it was removed; `false` if another process changed it meanwhile. */
function* removeAffinity(node: string, cidr: string): Transaction<boolean> {
  const affinity = yield* readAffinity(node, cidr);
  return affinity === undefined || (yield* remove(affinity));
}

/** Sets the affinity's state, and creates it if necessary; `undefined` if another process changed it meanwhile. */
function* setState(
  node: string,
  cidr: string,
  state: AffinitySpec["state"],
  pool?: string,
): Transaction<Affinity | undefined> {
  const stored = yield* readAffinity(node, cidr);
  if (stored === undefined) return (yield* create(newAffinity(node, cidr, state, pool))) as Affinity | undefined;
  if (stored.spec.state === state) return stored;
  return (yield* update({ ...stored, spec: { ...stored.spec, state } })) as Affinity | undefined;
}

/** The CIDR of the pool of a block that the node owns; `undefined` if the affinity does not name it. */
export function* poolOfBlock(node: string, cidr: string): Transaction<string | undefined> {
  return (yield* readAffinity(node, cidr))?.metadata.annotations?.[poolAnnotation];
}

export function newAffinity(node: string, cidr: string, state: AffinitySpec["state"], pool?: string): Affinity {
  return {
    apiVersion: "crd.projectcalico.org/v1",
    kind: "BlockAffinity",
    metadata: {
      name: affinityName(node, cidr),
      labels: affinityLabels(node, cidr),
      ...(pool !== undefined && { annotations: { [poolAnnotation]: pool } }),
    },
    spec: { cidr, node, type: "host", state, deleted: "false" },
  };
}

function withoutOwner(block: Block): Block {
  const { affinity: _affinity, ...spec } = block.spec;
  return withSpec(block, { ...spec, sequenceNumber: BigInt(spec.sequenceNumber) + 1n } as Block["spec"]);
}

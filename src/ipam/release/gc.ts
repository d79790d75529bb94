/**
 * GC: releases the addresses of one network that belong to no valid attachment.
 *
 * **A node releases only its own addresses**, because the runtime knows only the attachments of its node. An address belongs to the node that its
 * attributes name; without that attribute, to the node that owns the block.
 */
import { CoreError } from "../../errors/core-error.ts";
import type { StoredObject } from "../../store/object.ts";
import { list, type Transaction } from "../../store/transaction.ts";
import { hostAffinity, readBlock } from "../model/affinity.ts";
import { decodeHandle, type HandleOwner, type HandleSpec, ownerOfHandle } from "../model/handle.ts";
import { type Assigned, readHandleContents } from "../model/handle-contents.ts";
import { type AllocationFilter, releaseByHandle } from "./release.ts";

export interface Collected {
  readonly released: readonly Assigned[];
  /** The errors of addresses that could not be released; the others were. */
  readonly errors: readonly CoreError[];
}

export interface Collector {
  readonly network: string;
  /** `undefined`: addresses of any node name, for a store with a single node, which may have had other names. */
  readonly node: string | undefined;
  /** Nanoseconds since the epoch. */
  readonly now: bigint;
  /** Whether an attachment of this network is valid. */
  readonly isValid: (owner: HandleOwner) => boolean;
}

/** Handles of other networks and uses are left alone. */
export function* collect(collector: Collector): Transaction<Collected> {
  const { network, node, isValid } = collector;
  const released: Assigned[] = [];
  const errors: CoreError[] = [];
  for (const object of yield* list("IPAMHandle", { network })) {
    try {
      const handle = decodeHandle(object);
      const owner = ownerOfHandle(handle.spec.handleID);
      if (owner?.network !== network || isValid(owner)) continue;
      if (node !== undefined && (yield* isAtWork(handle, node, collector.now))) continue;
      released.push(...(yield* releaseByHandle(handle.spec.handleID, node === undefined ? undefined : heldBy(node))));
    } catch (error) {
      if (!(error instanceof CoreError)) throw error;
      errors.push(error);
    }
  }
  return { released, errors };
}

function heldBy(node: string): AllocationFilter {
  return (_, { secondary }, { affinity }) =>
    secondary?.node === undefined ? affinity === hostAffinity(node) : secondary.node === node;
}

/** More than the time between an ADD's write of its handle and of its block. */
const minAgeMs = 60_000;

/** Whether another node may be about to assign addresses to an empty handle: it is written before the block. */
function* isAtWork({ spec, metadata }: StoredObject<HandleSpec>, node: string, now: bigint): Transaction<boolean> {
  if ((yield* readHandleContents(spec.handleID)).blocks.length > 0) return false;
  const madeMs = Date.parse(metadata.creationTimestamp ?? "");
  if (!(Number(now / 1_000_000n) - madeMs > minAgeMs)) return true;
  for (const cidr of Object.keys(spec.block)) {
    const block = yield* readBlock(cidr);
    if (block !== undefined && block.spec.affinity !== hostAffinity(node)) return true;
  }
  return false;
}

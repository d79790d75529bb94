/** The input of a check at one moment: the store's objects, and what is seen of sandboxes on the node or of endpoints in the cluster. */

import { nowNs } from "../../host/clock.ts";
import type { ClusterFacts, Snapshot } from "../../ipam/check/report.ts";
import { isBlock } from "../../ipam/model/block.ts";
import { listPools } from "../../ipam/model/pool.ts";
import { listReservedCidrs } from "../../ipam/model/settings.ts";
import { DamagedError } from "../../store/damage.ts";
import type { StoredObject } from "../../store/object.ts";
import type { StoreError } from "../../store/store-error.ts";
import { drive, list, type Transaction } from "../../store/transaction.ts";
import type { Cli } from "../cli.ts";
import { withoutText } from "../resources/document-text.ts";
import { datastoreOf } from "../store.ts";

/** What is seen outside of the store. */
export type Sight = Pick<Snapshot, "endpoints" | "links" | "seen" | "hasUnseen"> & { readonly cluster?: ClusterFacts };

/** Of this node's files. */
export function takeSnapshot<S extends Sight>(cli: Cli, sight: S): Snapshot & S {
  const damaged: StoreError[] = [];
  const store = datastoreOf(cli, { onDamaged: (error) => damaged.push(error) }).store;
  return drive(readSnapshot(cli, sight, damaged), store);
}

/** `damaged`: to which the store adds the objects that listings omit. */
export function* readSnapshot<S extends Sight>(
  cli: Cli,
  sight: S,
  damaged: readonly StoreError[],
): Transaction<Snapshot & S> {
  cli.progress.begin("reading the datastore");
  const { pools, faults } = yield* listPools();
  const blocks = (yield* list("IPAMBlock")).map(readable);
  const handles = yield* list("IPAMHandle");
  const snapshot = {
    ...sight,
    node: cli.node,
    takenAt: nowNs(cli.sys),
    pools,
    blocks: blocks.filter(isWhole),
    handles: handles.filter(isWhole),
    affinities: yield* list("BlockAffinity"),
    reserved: yield* reserved(),
  };
  cli.progress.end();
  return { ...snapshot, damaged: [...damaged, ...faults].map(damageOf) };
}

function damageOf({ action, object, reason }: StoreError): Snapshot["damaged"][number] {
  return { object, reason: action === "use" ? `cannot be used: ${reason}` : reason };
}

/** Kubernetes deletes in two steps: after the first, the object counts as gone. */
function isWhole({ spec }: StoredObject): boolean {
  return (spec as { readonly deleted?: unknown }).deleted !== true;
}

/** Skips an invalid reservation; ADD reports it. */
function* reserved(): Transaction<readonly string[]> {
  try {
    return yield* listReservedCidrs();
  } catch (error) {
    if (error instanceof DamagedError) return [];
    throw error;
  }
}

/** Keeps attributes that are not valid JSON as text, so that the check reports them. */
function readable(object: StoredObject): StoredObject {
  if (!isBlock(object)) return object;
  try {
    return withoutText(object) as StoredObject;
  } catch {
    return object;
  }
}

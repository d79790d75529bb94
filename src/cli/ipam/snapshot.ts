/** The input of a check at one moment: the store's objects and the state of the node. */

import { nowNs } from "../../host/clock.ts";
import type { Snapshot } from "../../ipam/check/report.ts";
import { isBlock } from "../../ipam/model/block.ts";
import { listPools } from "../../ipam/model/pool.ts";
import { listReservedCidrs } from "../../ipam/model/settings.ts";
import { DamagedError } from "../../store/damage.ts";
import type { Kind, StoredObject } from "../../store/object.ts";
import type { StoreError } from "../../store/store-error.ts";
import { drive, list, type Store } from "../../store/transaction.ts";
import type { Cli } from "../cli.ts";
import type { Facts } from "../node/facts.ts";
import { withoutText } from "../resources/document-text.ts";
import { datastoreOf } from "../store.ts";

export function takeSnapshot(cli: Cli, facts: Facts): Snapshot {
  const damaged: StoreError[] = [];
  const store = datastoreOf(cli, { onDamaged: (error) => damaged.push(error) }).store;
  cli.progress.begin("reading the datastore");
  const objects = (kind: Kind): readonly StoredObject[] => drive(list(kind), store);
  const { pools, faults } = drive(listPools(), store);
  const snapshot: Snapshot = {
    ...facts,
    node: cli.node,
    takenAt: nowNs(cli.sys),
    pools,
    blocks: objects("IPAMBlock").map(readable),
    handles: objects("IPAMHandle"),
    affinities: objects("BlockAffinity"),
    damaged: [...damaged, ...faults].map(damageOf),
    reserved: reservedOf(store),
  };
  cli.progress.end();
  return snapshot;
}

function damageOf({ action, object, reason }: StoreError): Snapshot["damaged"][number] {
  return { object, reason: action === "use" ? `cannot be used: ${reason}` : reason };
}

/** Skips an invalid reservation; ADD reports it. */
function reservedOf(store: Store): readonly string[] {
  try {
    return drive(listReservedCidrs(), store);
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

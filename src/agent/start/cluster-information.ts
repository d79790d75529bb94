/** ClusterInformation "default": what Calico's programs know of the cluster. The first node creates it. */
import { randomUUID } from "node:crypto";
import { CoreError } from "../../errors/core-error.ts";
import type { StoredObject } from "../../store/object.ts";
import { TooManyConflicts } from "../../store/too-many-conflicts.ts";
import { create, maxTries, pause, read, type Transaction, update } from "../../store/transaction.ts";

export const clusterKey = { kind: "ClusterInformation", name: "default" } as const;

interface ClusterInformation {
  readonly clusterType?: string;
  readonly datastoreReady?: boolean;
}

/**
 * Creates it if missing, and adds the types of the cluster that this node knows. **Never changes Calico's version or whether the datastore is
 * ready.** Returns whether it wrote.
 */
export function* recordCluster(types: readonly string[]): Transaction<boolean> {
  for (let tries = 0; tries < maxTries; tries++) {
    yield* pause(tries);
    const found = yield* read(clusterKey);
    if (found === undefined) {
      if ((yield* create(newCluster(types))) !== undefined) return true;
      continue;
    }
    const { clusterType = "" } = found.spec as ClusterInformation;
    const known = clusterType.split(",").filter((type) => type !== "");
    const missing = types.filter((type) => !known.includes(type));
    if (missing.length === 0) return false;
    const spec = { ...(found.spec as object), clusterType: [...known, ...missing].join() };
    if ((yield* update({ ...found, spec })) !== undefined) return true;
  }
  throw new TooManyConflicts("record ClusterInformation");
}

function newCluster(types: readonly string[]): StoredObject {
  const spec = {
    clusterGUID: randomUUID().replaceAll("-", ""),
    ...(types.length > 0 && { clusterType: types.join() }),
    datastoreReady: true,
  };
  return { apiVersion: "projectcalico.org/v3", kind: clusterKey.kind, metadata: { name: clusterKey.name }, spec };
}

/** The datastore is being upgraded or migrated. */
export class DatastoreNotReady extends CoreError {
  override readonly name = "DatastoreNotReady";
  readonly kind = "timeout";

  constructor() {
    super(
      'cannot use the datastore: ClusterInformation "default" has datastoreReady false; it is being upgraded or moved',
    );
  }
}

/** Throws while writes to the datastore are not allowed. */
export function* requireReady(): Transaction<void> {
  const found = yield* read(clusterKey);
  if ((found?.spec as ClusterInformation | undefined)?.datastoreReady === false) throw new DatastoreNotReady();
}

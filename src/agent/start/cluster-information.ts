/** ClusterInformation "default": what Calico's programs know of the cluster. The first node makes it. */
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
 * Makes it where there is none, and adds what this node knows of the cluster's type. **Calico's version and whether the datastore is ready are
 * for others to say.** Returns whether that was a change.
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

/** Somebody is at work on the datastore: an upgrade, or a migration to another one. */
export class DatastoreNotReady extends CoreError {
  override readonly name = "DatastoreNotReady";
  readonly kind = "timeout";

  constructor() {
    super(
      'cannot use the datastore: ClusterInformation "default" has datastoreReady false; it is being upgraded or moved',
    );
  }
}

/** Throws while nobody is to write to the datastore. */
export function* requireReady(): Transaction<void> {
  const found = yield* read(clusterKey);
  if ((found?.spec as ClusterInformation | undefined)?.datastoreReady === false) throw new DatastoreNotReady();
}

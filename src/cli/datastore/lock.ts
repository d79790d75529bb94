/** The lock of a cluster's datastore is Calico's: while ClusterInformation "default" says `datastoreReady: false`, nothing is assigned. */
import { randomUUID } from "node:crypto";
import type { StoredObject } from "../../store/object.ts";
import { TooManyConflicts } from "../../store/too-many-conflicts.ts";
import { create, maxTries, pause, read, type Transaction, update } from "../../store/transaction.ts";
import type { Cli } from "../cli.ts";
import { CliError, type ExitStatus, exitStatus } from "../error.ts";
import { writeStore } from "../store.ts";

const key = { kind: "ClusterInformation", name: "default" } as const;

export async function setReady(cli: Cli, isReady: boolean): Promise<ExitStatus> {
  const what = isReady ? "unlock" : "lock";
  if (cli.cluster === undefined) {
    throw new CliError(`cannot ${what} the files of this node: only a cluster's datastore can be locked`);
  }
  await writeStore(cli, writeReady(isReady));
  cli.out(`Datastore ${isReady ? "unlocked" : "locked"}.\n`);
  return exitStatus.done;
}

/** `undefined`: there is no ClusterInformation yet. */
export function* readReady(): Transaction<boolean | undefined> {
  const found = yield* read(key);
  return found && (found.spec as { readonly datastoreReady?: boolean }).datastoreReady !== false;
}

function* writeReady(datastoreReady: boolean): Transaction<void> {
  for (let tries = 0; tries < maxTries; tries++) {
    yield* pause(tries);
    const found = yield* read(key);
    const written =
      found === undefined
        ? yield* create(newInformation(datastoreReady))
        : yield* update({ ...found, spec: { ...(found.spec as object), datastoreReady } });
    if (written !== undefined) return;
  }
  throw new TooManyConflicts('write ClusterInformation "default"');
}

export function newInformation(datastoreReady: boolean): StoredObject {
  return {
    apiVersion: "projectcalico.org/v3",
    kind: key.kind,
    metadata: { name: key.name },
    spec: { clusterGUID: randomUUID().replaceAll("-", ""), datastoreReady },
  };
}

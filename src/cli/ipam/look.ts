/** Checks addresses: on this node under the lock of its files, or all of a cluster's, where nothing keeps other writers from going on. */
import { setTimeout as sleep } from "node:timers/promises";
import { checkIpam } from "../../ipam/check/check.ts";
import type { Report, Snapshot } from "../../ipam/check/report.ts";
import type { StoreError } from "../../store/store-error.ts";
import type { Transaction } from "../../store/transaction.ts";
import type { Cli } from "../cli.ts";
import { gatherFacts } from "../node/facts.ts";
import { readStore, writeStore } from "../store.ts";
import { readSight } from "./cluster-sight.ts";
import { readSnapshot, type Sight } from "./snapshot.ts";

export interface Looked {
  readonly snapshot: Snapshot;
  readonly report: Report;
}

/** Between two looks at a cluster: an operation writes a handle, a block and an endpoint within this time, or will be seen again. */
const pauseMs = 3000;

/** A look without a lock, so that no pod waits: operations in progress look like problems. */
export async function look(cli: Cli): Promise<Looked> {
  const damaged: StoreError[] = [];
  const sight = await ownSight(cli);
  return await readStore(cli, take(cli, sight, damaged), (error) => damaged.push(error));
}

/** What is found in both this look and an earlier one is no operation in progress. */
export async function lookAgain(cli: Cli): Promise<Looked> {
  if (cli.cluster !== undefined) await sleep(pauseMs);
  const damaged: StoreError[] = [];
  const sight = await ownSight(cli);
  return await writeStore(cli, take(cli, sight, damaged), (error) => damaged.push(error));
}

/** Goes on with a fresh look: on a node under the lock under which it was taken. */
export async function withLook<T>(cli: Cli, body: (looked: Looked) => Transaction<T>): Promise<T> {
  const damaged: StoreError[] = [];
  const sight = await ownSight(cli);
  const transaction = (function* () {
    return yield* body(yield* take(cli, sight, damaged));
  })();
  return await writeStore(cli, transaction, (error) => damaged.push(error));
}

/** Of this node; `undefined` in a cluster. */
async function ownSight(cli: Cli): Promise<Sight | undefined> {
  return cli.cluster === undefined ? await gatherFacts(cli) : undefined;
}

/** `sight`: of this node. */
function* take(cli: Cli, sight: Sight | undefined, damaged: readonly StoreError[]): Transaction<Looked> {
  const seen = sight ?? (yield* readSight(cli.cluster?.type ?? "kubernetes"));
  const snapshot = yield* readSnapshot(cli, seen, damaged);
  return { snapshot, report: checkIpam(snapshot) };
}

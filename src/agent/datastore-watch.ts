/** Checks periodically, for readiness, that the datastore answers and accepts writes. A request reports its own failures. */
import { setTimeout as sleep } from "node:timers/promises";
import { CoreError } from "../errors/core-error.ts";
import type { AsyncDatastore } from "../store/async-datastore.ts";
import { driveAsync } from "../store/transaction.ts";
import { DatastoreNotReady, requireReady } from "./start/cluster-information.ts";

export interface DatastoreWatch {
  /** When it last answered, in milliseconds since the epoch. */
  answeredMs(): number;
  /** Why the last check failed. */
  trouble(): string | undefined;
  /** Why writes are not allowed although it answers. */
  heldBack(): string | undefined;
}

const intervalMs = 2000;

/** Ends with the signal. */
export function watchDatastore(
  datastore: AsyncDatastore,
  signal: AbortSignal,
  onChange: (trouble: string | undefined) => void,
): DatastoreWatch {
  let trouble: string | undefined;
  let heldBack: string | undefined;
  let answered = Date.now();
  const ask = async () => {
    const before = trouble;
    try {
      await driveAsync(requireReady(), datastore.store);
      answered = Date.now();
      trouble = undefined;
      heldBack = undefined;
    } catch (error) {
      if (!(error instanceof CoreError)) throw error;
      trouble = error.message;
      heldBack = error instanceof DatastoreNotReady ? error.message : undefined;
    }
    if ((before === undefined) !== (trouble === undefined) && !signal.aborted) onChange(trouble);
  };
  const run = async () => {
    while (!signal.aborted) {
      await sleep(intervalMs, undefined, { signal }).catch(() => undefined);
      if (!signal.aborted) await ask();
    }
  };
  void run();
  return { answeredMs: () => answered, trouble: () => trouble, heldBack: () => heldBack };
}

/**
 * Watches the objects of a kind: a listing, followed by every later change.
 *
 *     list ──► changes after its revision ──► (connection lost) ──► changes after the last received revision ──► …
 *       ▲                                                                     │
 *       └──────────────────────── the store has forgotten them ◄──────────────┘
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Following, Watcher } from "../async-datastore.ts";
import { type Filter, matches } from "../filter.ts";
import { keyOf } from "../key.ts";
import type { Kind } from "../object.ts";
import { StoreError } from "../store-error.ts";
import { type Backend, type Change, Compacted, listAll } from "./backend.ts";

const firstPauseMs = 50;
const maxPauseMs = 5000;

interface Subject {
  readonly kind: Kind;
  readonly filter: Filter;
}

/** An exception of the watcher is a bug, and is not caught. */
export function follow(backend: Backend, subject: Subject, watcher: Watcher): Following {
  const abort = new AbortController();
  void run(backend, subject, watcher, abort.signal);
  return { close: () => abort.abort() };
}

async function run(backend: Backend, subject: Subject, watcher: Watcher, signal: AbortSignal): Promise<void> {
  const { kind, filter } = subject;
  let revision: string | undefined;
  let failures = 0;
  while (!signal.aborted) {
    try {
      revision ??= await tellAll(backend, subject, watcher, signal);
      for await (const change of backend.changes(kind, filter, revision, signal)) {
        if (signal.aborted) return;
        failures = 0;
        tell(filter, watcher, change);
        revision = change.revision;
      }
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof StoreError)) throw error;
      if (error instanceof Compacted) revision = undefined;
      else watcher.trouble(error);
    }
    // The server ends a watch from time to time without an error.
    const pauseMs = Math.min(maxPauseMs, firstPauseMs * 2 ** failures++) * (0.5 + Math.random());
    await sleep(pauseMs, undefined, { signal }).catch(() => undefined);
  }
}

async function tellAll(
  backend: Backend,
  { kind, filter }: Subject,
  watcher: Watcher,
  signal: AbortSignal,
): Promise<string> {
  const { objects, damaged, revision } = await listAll(backend, kind, filter);
  if (signal.aborted) return revision;
  watcher.all(objects.filter((object) => matches(object, filter)));
  for (const error of damaged) watcher.trouble(error);
  return revision;
}

function tell(filter: Filter, watcher: Watcher, change: Change): void {
  if (change.type === "set") {
    if (matches(change.object, filter)) watcher.set(change.object);
    else watcher.gone(keyOf(change.object));
  }
  if (change.type === "gone" || change.type === "damaged") watcher.gone(change.key);
  if (change.type === "damaged") watcher.trouble(change.error);
}

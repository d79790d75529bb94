/** A backend in memory that follows a test's script: loses answers before or after the write, reports compaction, ends watches. */
import { type Backend, type Change, Unanswered } from "../../../../src/store/cluster/backend.ts";
import type { Key } from "../../../../src/store/key.ts";
import type { StoredObject } from "../../../../src/store/object.ts";
import { nameOf } from "../../../../src/store/object-name.ts";

export type Mishap = "lost before" | "lost after" | Error;

export interface ScriptedBackend extends Backend {
  readonly objects: Map<string, StoredObject>;
  /** The outcomes of the next requests, one each. */
  readonly mishaps: Mishap[];
  /** The requests, as `op name`. */
  readonly log: string[];
  /** The events of the next watches, one list each; an error at the end is thrown, otherwise the watch ends. */
  readonly watches: (readonly (Change | Error)[])[];
}

export function scriptedBackend(): ScriptedBackend {
  let revision = 0;
  const objects = new Map<string, StoredObject>();
  const mishaps: Mishap[] = [];
  const log: string[] = [];
  const watches: (readonly (Change | Error)[])[] = [];

  async function asked<T>(op: string, key: Key, body: () => T): Promise<T> {
    log.push(`${op} ${nameOf(key)}`);
    const mishap = mishaps.shift();
    const lost = new Unanswered(op, { kind: key.kind, name: nameOf(key) }, "no answer");
    if (mishap === "lost before") throw lost;
    const result = body();
    if (mishap === "lost after") throw lost;
    if (mishap instanceof Error) throw mishap;
    return result;
  }
  const store = (object: StoredObject): StoredObject => {
    const stored = { ...object, metadata: { ...object.metadata, resourceVersion: String(++revision) } };
    objects.set(object.metadata.name, stored);
    return stored;
  };
  const isCurrent = ({ metadata }: StoredObject) =>
    objects.get(metadata.name)?.metadata.resourceVersion === metadata.resourceVersion;

  return {
    objects,
    mishaps,
    log,
    watches,
    read: (key) => asked("read", key, () => objects.get(nameOf(key))),
    async *pages(kind) {
      yield await asked("list", { kind, name: "" }, () => ({
        objects: [...objects.values()],
        damaged: [],
        revision: String(revision),
      }));
    },
    lease: () => ({ hold: async () => true }),
    create: (key, object) => asked("create", key, () => (objects.has(nameOf(key)) ? undefined : store(object))),
    update: (key, object) => asked("update", key, () => (isCurrent(object) ? store(object) : undefined)),
    remove: (key, object) => asked("delete", key, () => isCurrent(object) && objects.delete(nameOf(key))),
    async *changes(_kind, _filter, after, signal) {
      log.push(`watch ${after}`);
      const script = watches.shift();
      if (script === undefined) {
        await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
        return;
      }
      for (const step of script) {
        if (step instanceof Error) throw step;
        yield step;
      }
    },
    close: () => log.push("close"),
  };
}

/** Objects that the agent follows in memory, each decoded to the few fields that it needs. */
import type { AsyncDatastore, Following } from "../../store/async-datastore.ts";
import type { Filter } from "../../store/filter.ts";
import { type Key, keyOf } from "../../store/key.ts";
import type { Kind, StoredObject } from "../../store/object.ts";
import { nameOf } from "../../store/object-name.ts";
import type { StoreError } from "../../store/store-error.ts";

export interface FollowOptions {
  /** Called after each change. */
  readonly onChange: () => void;
  readonly onTrouble: (error: StoreError) => void;
  readonly filter?: Filter;
  /** A cluster may have no such kind: an error other than that the datastore is away counts as an empty listing. */
  readonly mayBeAbsent?: boolean;
}

/** `decode` returns `undefined` for an object that counts as absent. */
export function followKept<T>(
  datastore: AsyncDatastore,
  kind: Kind,
  kept: Kept<T>,
  decode: (object: StoredObject) => T | undefined,
  { onChange, onTrouble, filter = {}, mayBeAbsent = false }: FollowOptions,
): Following {
  const watcher = {
    all: (objects: readonly StoredObject[]) => {
      kept.tellAll(objects.map((object) => [idOf(keyOf(object)), decode(object)]));
      onChange();
    },
    set: (object: StoredObject) => {
      if (kept.tell(idOf(keyOf(object)), decode(object))) onChange();
    },
    gone: (key: ReturnType<typeof keyOf>) => {
      if (kept.tell(idOf(key), undefined)) onChange();
    },
    trouble: (error: StoreError) => {
      if (mayBeAbsent && error.kind !== "timeout") kept.tellAllUnlessTold([]);
      onTrouble(error);
      onChange();
    },
  };
  return datastore.follow(kind, watcher, filter);
}

/** The name; of an object in a namespace both. */
function idOf(key: Key): string {
  const namespace = "namespace" in key ? key.namespace : undefined;
  return namespace === undefined ? nameOf(key) : `${namespace}/${nameOf(key)}`;
}

/** The objects of one kind, by name, or by namespace and name: `default/web`. */
export class Kept<T> {
  #all = new Map<string, T>();
  isTold = false;

  get all(): ReadonlyMap<string, T> {
    return this.#all;
  }

  values(): readonly T[] {
    return [...this.#all.values()];
  }

  tellAll(objects: readonly (readonly [string, T | undefined])[]): void {
    this.isTold = true;
    this.#all = new Map(objects.flatMap(([name, object]) => (object === undefined ? [] : [[name, object] as const])));
  }

  tellAllUnlessTold(objects: readonly (readonly [string, T | undefined])[]): void {
    if (!this.isTold) this.tellAll(objects);
  }

  /** Whether that changed anything: a node's heartbeat and a pod's address mostly do not. */
  tell(name: string, object: T | undefined): boolean {
    const before = this.#all.get(name);
    if (JSON.stringify(before) === JSON.stringify(object)) return false;
    if (object === undefined) this.#all.delete(name);
    else this.#all.set(name, object);
    return true;
  }
}

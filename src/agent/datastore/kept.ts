/** Objects that the agent follows in memory, each decoded to the few fields that it needs. */
import type { AsyncDatastore } from "../../store/async-datastore.ts";
import type { Filter } from "../../store/filter.ts";
import { keyOf } from "../../store/key.ts";
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
): void {
  const watcher = {
    all: (objects: readonly StoredObject[]) => {
      kept.tellAll(objects.map((object) => [nameOf(keyOf(object)), decode(object)]));
      onChange();
    },
    set: (object: StoredObject) => {
      if (kept.tell(nameOf(keyOf(object)), decode(object))) onChange();
    },
    gone: (key: ReturnType<typeof keyOf>) => {
      if (kept.tell(nameOf(key), undefined)) onChange();
    },
    trouble: (error: StoreError) => {
      if (mayBeAbsent && error.kind !== "timeout") kept.tellAllUnlessTold([]);
      onTrouble(error);
      onChange();
    },
  };
  datastore.follow(kind, watcher, filter);
}

/** The objects of one kind, by name. */
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

/** The objects of one kind that the agent keeps in memory and updates through a watch. */
import { type Filter, matches } from "../../store/filter.ts";
import { keyOf } from "../../store/key.ts";
import type { Kind, StoredObject } from "../../store/object.ts";
import { nameOf } from "../../store/object-name.ts";

/** May lag behind the datastore: a write that is based on an old revision gets a conflict. */
export class Followed {
  readonly kind: Kind;
  readonly #scope: Filter;
  #objects: Map<string, StoredObject> | undefined;
  /** The revisions of our last writes until the watch reports them; what the watch reports earlier is older. */
  readonly #expected = new Map<string, string>();
  /** Objects whose writes got a conflict: they are read from the datastore. */
  readonly #doubted = new Set<string>();

  /** Whether some object is damaged; only the datastore's answer says which. */
  isDamaged = false;

  /** `scope`: which objects of the kind are followed. */
  constructor(kind: Kind, scope: Filter) {
    this.kind = kind;
    this.#scope = scope;
  }

  /** Whether this can answer a listing with the filter. */
  answers(filter: Filter): boolean {
    return this.#objects !== undefined && (this.#scope.node === undefined || this.#scope.node === filter.node);
  }

  /** Sorted by name. */
  list(filter: Filter): readonly StoredObject[] {
    const found = [...(this.#objects?.values() ?? [])].filter((object) => matches(object, filter));
    return found.sort(({ metadata: one }, { metadata: other }) =>
      one.name < other.name ? -1 : Number(one.name > other.name),
    );
  }

  /** `undefined` if the object is unknown. */
  get(name: string): StoredObject | undefined {
    return this.#doubted.has(name) ? undefined : this.#objects?.get(name);
  }

  /** Whether it is certain that the object does not exist. */
  isMissing(name: string): boolean {
    if (this.#objects === undefined || this.#scope.node !== undefined) return false;
    return !this.#objects.has(name) && !this.#doubted.has(name);
  }

  /** The watch lists all objects again. */
  onList(objects: readonly StoredObject[]): void {
    this.#objects = new Map(objects.map((object) => [nameOf(keyOf(object)), object]));
    this.#expected.clear();
    this.#doubted.clear();
    this.isDamaged = false;
  }

  /** The watch reports an object. */
  onSet(object: StoredObject): void {
    const name = nameOf(keyOf(object));
    const expected = this.#expected.get(name);
    if (expected === object.metadata.resourceVersion) this.#expected.delete(name);
    if (expected === undefined) this.#set(name, object);
  }

  /** The watch reports a deletion. */
  onGone(name: string): void {
    if (this.#expected.has(name)) return;
    this.#objects?.delete(name);
    this.#doubted.delete(name);
  }

  /** Takes an object from an answer of the datastore; `isWritten`: the answer to our own write. */
  learn(object: StoredObject, isWritten: boolean): void {
    const name = nameOf(keyOf(object));
    if (isWritten) this.#expected.set(name, object.metadata.resourceVersion ?? "");
    this.#set(name, object);
  }

  /** For an object that we removed. */
  forget(name: string): void {
    this.#expected.delete(name);
    this.#objects?.delete(name);
    this.#doubted.delete(name);
  }

  /** For an object whose write got a conflict or no answer. */
  doubt(name: string): void {
    this.#expected.delete(name);
    this.#doubted.add(name);
  }

  #set(name: string, object: StoredObject): void {
    this.#doubted.delete(name);
    if (matches(object, this.#scope)) this.#objects?.set(name, object);
    else this.#objects?.delete(name);
  }
}

/** The objects of a kind that the node's agent follows, in memory. */
import { type Filter, matches } from "../../store/filter.ts";
import { keyOf } from "../../store/key.ts";
import type { Kind, StoredObject } from "../../store/object.ts";
import { nameOf } from "../../store/object-name.ts";

/** Up to date but for what is under way; compare-and-swap tells when a write was based on what is no more. */
export class Followed {
  readonly kind: Kind;
  readonly #scope: Filter;
  #objects: Map<string, StoredObject> | undefined;
  /** The revisions of our last writes, until the watch has told of them: what it tells before is older. */
  readonly #expected = new Map<string, string>();
  /** Those that met a conflict: they are read from the datastore. */
  readonly #doubted = new Set<string>();

  /** Whether an object cannot be used: the datastore says which. */
  isDamaged = false;

  /** `scope`: what is followed of the kind. */
  constructor(kind: Kind, scope: Filter) {
    this.kind = kind;
    this.#scope = scope;
  }

  /** Whether a listing with this filter can be answered. */
  answers(filter: Filter): boolean {
    return this.#objects !== undefined && (this.#scope.node === undefined || this.#scope.node === filter.node);
  }

  /** In the order of their names. */
  list(filter: Filter): readonly StoredObject[] {
    const found = [...(this.#objects?.values() ?? [])].filter((object) => matches(object, filter));
    return found.sort(({ metadata: one }, { metadata: other }) =>
      one.name < other.name ? -1 : Number(one.name > other.name),
    );
  }

  /** `undefined` when it is not known. */
  get(name: string): StoredObject | undefined {
    return this.#doubted.has(name) ? undefined : this.#objects?.get(name);
  }

  /** Whether one that is not known does not exist. */
  isMissing(name: string): boolean {
    if (this.#objects === undefined || this.#scope.node !== undefined) return false;
    return !this.#objects.has(name) && !this.#doubted.has(name);
  }

  /** The watch lists everything again. */
  tellAll(objects: readonly StoredObject[]): void {
    this.#objects = new Map(objects.map((object) => [nameOf(keyOf(object)), object]));
    this.#expected.clear();
    this.#doubted.clear();
    this.isDamaged = false;
  }

  /** The watch tells of one. */
  tell(object: StoredObject): void {
    const name = nameOf(keyOf(object));
    const expected = this.#expected.get(name);
    if (expected === object.metadata.resourceVersion) this.#expected.delete(name);
    if (expected === undefined) this.#set(name, object);
  }

  /** The watch tells that one is gone. */
  tellGone(name: string): void {
    if (this.#expected.has(name)) return;
    this.#objects?.delete(name);
    this.#doubted.delete(name);
  }

  /** The datastore answered with it; `isWritten`: to a write of ours. */
  learn(object: StoredObject, isWritten: boolean): void {
    const name = nameOf(keyOf(object));
    if (isWritten) this.#expected.set(name, object.metadata.resourceVersion ?? "");
    this.#set(name, object);
  }

  /** We removed it. */
  forget(name: string): void {
    this.#expected.delete(name);
    this.#objects?.delete(name);
    this.#doubted.delete(name);
  }

  /** A write met a conflict, or was not answered. */
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

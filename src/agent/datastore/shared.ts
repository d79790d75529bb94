/**
 * One watch of a kind for all parts of the agent that begin to follow it together: the connection, and each object decoded once.
 *
 *     IPAMBlock   the node's transactions (its own blocks) ─┐
 *                 the network (all blocks)                 ─┴─► one watch
 *
 * Who begins later gets a watch of its own, because nothing is kept that could tell it what the others know.
 */
import type { AsyncDatastore, Following, Watcher } from "../../store/async-datastore.ts";
import { type Filter, matches } from "../../store/filter.ts";
import { keyOf } from "../../store/key.ts";
import type { Kind, StoredObject } from "../../store/object.ts";

interface Member {
  readonly watcher: Watcher;
  readonly filter: Filter;
}

/** The datastore, whose watches that begin in the same turn of the event loop are shared. */
export function sharingWatches(datastore: AsyncDatastore): AsyncDatastore {
  const gathering = new Map<Kind, SharedWatch>();
  return {
    ...datastore,
    follow(kind, watcher, filter = {}) {
      const known = gathering.get(kind);
      if (known !== undefined) return known.join({ watcher, filter });
      const shared = new SharedWatch(datastore, kind);
      gathering.set(kind, shared);
      queueMicrotask(() => {
        gathering.delete(kind);
        shared.open();
      });
      return shared.join({ watcher, filter });
    },
  };
}

class SharedWatch {
  readonly #datastore: AsyncDatastore;
  readonly #kind: Kind;
  readonly #members = new Set<Member>();
  #following: Following | undefined;

  constructor(datastore: AsyncDatastore, kind: Kind) {
    this.#datastore = datastore;
    this.#kind = kind;
  }

  join(member: Member): Following {
    this.#members.add(member);
    return {
      close: () => {
        this.#members.delete(member);
        if (this.#members.size === 0) this.#following?.close();
      },
    };
  }

  /** With the filter of all members if it is the same, otherwise with none. */
  open(): void {
    const [first, ...others] = [...this.#members].map(({ filter }) => filter);
    if (first === undefined) return;
    const isSame = others.every((filter) => JSON.stringify(filter) === JSON.stringify(first));
    this.#following = this.#datastore.follow(this.#kind, this.#watcher(), isSame ? first : {});
  }

  #watcher(): Watcher {
    const each = (tell: (member: Member) => void) => {
      for (const member of this.#members) tell(member);
    };
    return {
      all: (objects) => each(({ watcher, filter }) => watcher.all(objects.filter((object) => matches(object, filter)))),
      set: (object) => each((member) => tellSet(member, object)),
      gone: (key) => each(({ watcher }) => watcher.gone(key)),
      trouble: (error) => each(({ watcher }) => watcher.trouble(error)),
    };
  }
}

function tellSet({ watcher, filter }: Member, object: StoredObject): void {
  if (matches(object, filter)) watcher.set(object);
  else watcher.gone(keyOf(object));
}

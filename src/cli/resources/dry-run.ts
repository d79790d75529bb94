/** A dry run is the real transaction with all its requests but the writes, which change nothing. */
import { type Key, keyOf } from "../../store/key.ts";
import type { StoredObject } from "../../store/object.ts";
import { nameOf } from "../../store/object-name.ts";
import type { StoreReply, StoreRequest, Transaction } from "../../store/transaction.ts";

const conflict: StoreReply = { conflict: true };
const nothing: StoreReply = { nothing: true };

/** Only the transaction's own later reads see its writes, all of which are accepted. */
export function* withoutWrites<T>(transaction: Transaction<T>): Transaction<T> {
  const overlay = new Overlay();
  let step = transaction.next();
  while (step.done !== true) {
    let reply: StoreReply;
    try {
      reply = yield* overlay.answer(step.value);
    } catch (error) {
      step = transaction.throw(error);
      continue;
    }
    step = transaction.next(reply);
  }
  return step.value;
}

type Write = Extract<StoreRequest, { op: "create" | "update" | "delete" }>;

class Overlay {
  /** By kind and name; `undefined`: deleted. */
  readonly #written = new Map<string, StoredObject | undefined>();
  #revision = 0;

  *answer(request: StoreRequest): Transaction<StoreReply> {
    switch (request.op) {
      case "read": {
        const object = yield* this.#current(request.key);
        return { objects: object === undefined ? [] : [object] };
      }
      case "list":
        return { objects: yield* this.#listed(request) };
      case "create":
      case "update":
      case "delete":
        return yield* this.#write(request);
      case "set aside":
        this.#written.set(idOf(request.object as Key), request.replacement);
        return nothing;
      default:
        // Hints and upkeep belong to the store itself.
        return nothing;
    }
  }

  *#current(key: Key): Transaction<StoredObject | undefined> {
    const id = idOf(key);
    if (this.#written.has(id)) return this.#written.get(id);
    const reply = yield { op: "read", key };
    return "objects" in reply ? reply.objects[0] : undefined;
  }

  *#listed(request: Extract<StoreRequest, { op: "list" }>): Transaction<readonly StoredObject[]> {
    const reply = yield request;
    const objects = "objects" in reply ? reply.objects : [];
    const kept = objects.filter((object) => !this.#written.has(idOf(keyOf(object))));
    const written = [...this.#written.values()].filter((object) => object?.kind === request.kind);
    return [...kept, ...(written as readonly StoredObject[])].sort((one, other) =>
      one.metadata.name < other.metadata.name ? -1 : 1,
    );
  }

  *#write({ op, key, object }: Write): Transaction<StoreReply> {
    const { resourceVersion = "0" } = object.metadata;
    const stored = yield* this.#current(key);
    const fits = op === "create" ? stored === undefined : (stored?.metadata.resourceVersion ?? "0") === resourceVersion;
    if (!fits || (op !== "create" && stored === undefined)) return conflict;
    const metadata = { ...object.metadata, resourceVersion: `dry-run-${++this.#revision}` };
    const written = op === "delete" ? undefined : { ...object, metadata };
    this.#written.set(idOf(keyOf(object)), written);
    return { objects: written === undefined ? [] : [written] };
  }
}

function idOf(key: Key): string {
  return `${key.kind}/${nameOf(key)}`;
}

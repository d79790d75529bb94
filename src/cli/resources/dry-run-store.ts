/** A store that accepts every write and changes nothing: a dry run is the real transaction over it. */
import type { Key } from "../../store/key.ts";
import type { StoredObject } from "../../store/object.ts";
import { nameOf } from "../../store/object-name.ts";
import type { Store, StoreReply, StoreRequest } from "../../store/transaction.ts";

const conflict: StoreReply = { conflict: true };
const nothing: StoreReply = { nothing: true };

/** Only later reads of this store see the writes. */
export function dryRunStore(under: Store): Store {
  /** By kind and name; `undefined`: deleted. */
  const over = new Map<string, StoredObject | undefined>();
  let revision = 0;

  function current(key: Key): StoredObject | undefined {
    const written = idOf(key.kind, nameOf(key));
    if (over.has(written)) return over.get(written);
    const reply = under.handle({ op: "read", key });
    return "objects" in reply ? reply.objects[0] : undefined;
  }

  function listed(request: Extract<StoreRequest, { op: "list" }>): readonly StoredObject[] {
    const reply = under.handle(request);
    const objects = "objects" in reply ? reply.objects : [];
    const kept = objects.filter(({ kind, metadata }) => !over.has(idOf(kind, metadata.name)));
    const written = [...over.values()].filter((object) => object?.kind === request.kind);
    return [...kept, ...(written as readonly StoredObject[])].sort((one, other) =>
      one.metadata.name < other.metadata.name ? -1 : 1,
    );
  }

  function write({ op, key, object }: Extract<StoreRequest, { op: "create" | "update" | "delete" }>): StoreReply {
    const { resourceVersion = "0" } = object.metadata;
    const stored = current(key);
    const fits = op === "create" ? stored === undefined : (stored?.metadata.resourceVersion ?? "0") === resourceVersion;
    if (!fits || (op !== "create" && stored === undefined)) return conflict;
    const metadata = { ...object.metadata, resourceVersion: `dry-run-${++revision}` };
    const written = op === "delete" ? undefined : { ...object, metadata };
    over.set(idOf(object.kind, object.metadata.name), written);
    return { objects: written === undefined ? [] : [written] };
  }

  return {
    handle(request) {
      switch (request.op) {
        case "read": {
          const object = current(request.key);
          return { objects: object === undefined ? [] : [object] };
        }
        case "list":
          return { objects: listed(request) };
        case "create":
        case "update":
        case "delete":
          return write(request);
        case "set aside":
          over.set(idOf(request.object.kind, request.object.name), request.replacement);
          return nothing;
        default:
          // Hints and upkeep belong to the store itself.
          return nothing;
      }
    },
  };
}

function idOf(kind: string, name: string): string {
  return `${kind}/${name}`;
}

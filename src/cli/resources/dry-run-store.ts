/** A store that takes every write and changes nothing: a dry run is the real transaction over it. */
import type { StoredObject } from "../../store/object.ts";
import type { Store, StoreReply, StoreRequest } from "../../store/transaction.ts";

const conflict: StoreReply = { conflict: true };

/** What is written is seen by later reads of this store alone. */
export function dryRunStore(under: Store): Store {
  /** By kind and name; `undefined`: deleted. */
  const over = new Map<string, StoredObject | undefined>();
  let revision = 0;

  function current(kind: string, name: string): StoredObject | undefined {
    const key = `${kind}/${name}`;
    if (over.has(key)) return over.get(key);
    const reply = under.handle({ op: "read", kind: kind as StoredObject["kind"], name });
    return "objects" in reply ? reply.objects[0] : undefined;
  }

  function listed(request: Extract<StoreRequest, { op: "list" }>): readonly StoredObject[] {
    const reply = under.handle(request);
    const objects = "objects" in reply ? reply.objects : [];
    const kept = objects.filter(({ kind, metadata }) => !over.has(`${kind}/${metadata.name}`));
    const written = [...over.values()].filter((object) => object?.kind === request.kind);
    return [...kept, ...(written as readonly StoredObject[])].sort((one, other) =>
      one.metadata.name < other.metadata.name ? -1 : 1,
    );
  }

  return {
    handle(request) {
      if (request.op === "read") {
        const object = current(request.kind, request.name);
        return { objects: object === undefined ? [] : [object] };
      }
      if (request.op === "list") return { objects: listed(request) };
      if (request.op === "set aside") {
        over.set(`${request.kind}/${request.name}`, request.replacement);
        return { objects: request.replacement === undefined ? [] : [request.replacement] };
      }
      const { op, object } = request;
      const { name, resourceVersion = "0" } = object.metadata;
      const stored = current(object.kind, name);
      const fits =
        op === "create" ? stored === undefined : (stored?.metadata.resourceVersion ?? "0") === resourceVersion;
      if (!fits || (op !== "create" && stored === undefined)) return conflict;
      const metadata = { ...object.metadata, resourceVersion: `dry-run-${++revision}` };
      const written = op === "delete" ? undefined : { ...object, metadata };
      over.set(`${object.kind}/${name}`, written);
      return { objects: written === undefined ? [] : [written] };
    },
  };
}

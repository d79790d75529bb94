/** The store in memory as a cluster's datastore: it answers later, and other clients may write to it. */
import type { AsyncDatastore, Watcher, WriteTogether } from "../../../src/store/async-datastore.ts";
import { type Filter, matches } from "../../../src/store/filter.ts";
import { keyOf } from "../../../src/store/key.ts";
import type { Kind, StoredObject } from "../../../src/store/object.ts";
import { StoreError } from "../../../src/store/store-error.ts";
import { type AsyncStore, driveAsync, type StoreRequest } from "../../../src/store/transaction.ts";
import { type MemoryStore, memoryStore } from "../ipam/memory-store.ts";

export interface MemoryDatastore extends AsyncDatastore {
  readonly memory: MemoryStore;
  /** Whether it fails to answer. */
  isAway: boolean;
  /** What writes of IPAM wait for before they begin. */
  gate: Promise<void> | undefined;
  /** The holder of the lease, which never expires. */
  holder: string | undefined;
  /** The requests so far, as `op kind`. */
  readonly requests: string[];
}

/** `writesTogether`: as etcd does, and Kubernetes does not. */
export function memoryDatastore({ writesTogether = false } = {}): MemoryDatastore {
  const memory = memoryStore({ hints: false });
  const followers: Follower[] = [];
  const requests: string[] = [];
  const later = () => new Promise((resolve) => setTimeout(resolve, 1));
  const requireAnswer = () => {
    if (datastore.isAway)
      throw new StoreError({ action: "read", object: { kind: "IPPool", name: "" }, reason: "it does not answer" });
  };
  const writeTogether: WriteTogether = async (created, updated) => {
    await later();
    await datastore.gate;
    requireAnswer();
    requests.push(`together ${created.length}`);
    const stored = (object: StoredObject) => {
      const reply = memory.handle({ op: "read", key: keyOf(object) });
      return "objects" in reply ? reply.objects[0] : undefined;
    };
    const isUnchanged = stored(updated)?.metadata.resourceVersion === updated.metadata.resourceVersion;
    if (!isUnchanged || created.some(stored)) return undefined;
    const write = (op: "create" | "update", object: StoredObject) => {
      const request = { op, key: keyOf(object), object } as const;
      const reply = memory.handle(request);
      const [written] = "objects" in reply ? reply.objects : [];
      if (written === undefined) throw new Error(`the memory refuses to ${op}`);
      tell(followers, request, written);
      return written;
    };
    return { created: created.map((object) => write("create", object)), updated: write("update", updated) };
  };
  const store: AsyncStore = {
    async handle(request) {
      await later();
      if (isWrite(request) && request.key.kind.startsWith("IPAM")) await datastore.gate;
      requireAnswer();
      if (request.op === "wait") return { nothing: true };
      requests.push(`${request.op} ${"key" in request ? request.key.kind : "kind" in request ? request.kind : ""}`);
      const reply = memory.handle(request);
      if ("objects" in reply && isWrite(request)) tell(followers, request, reply.objects[0]);
      await later();
      return reply;
    },
  };
  const datastore: MemoryDatastore = {
    memory,
    isAway: false,
    gate: undefined,
    ...(writesTogether && { writeTogether }),
    holder: undefined,
    requests,
    isNodesOwn: false,
    store,
    transact: (transaction) => driveAsync(transaction(), store),
    follow(kind, watcher, filter = {}) {
      const all = memory.all(kind).filter((object) => matches(object, filter));
      setImmediate(() => watcher.all(all));
      followers.push({ kind, watcher, filter });
      return { close: () => undefined };
    },
    async visit(kind, visitor) {
      const reply = await store.handle({ op: "list", kind, filter: {}, isWhole: false });
      if ("objects" in reply) for (const object of reply.objects) visitor(object);
    },
    lease: () => ({
      async hold(candidate) {
        await later();
        datastore.holder ??= candidate;
        return datastore.holder === candidate;
      },
    }),
    close: () => undefined,
  };
  return datastore;
}

interface Follower {
  readonly kind: Kind;
  readonly watcher: Watcher;
  readonly filter: Filter;
}

type Write = Extract<StoreRequest, { op: "create" | "update" | "delete" }>;

function isWrite(request: StoreRequest): request is Write {
  return request.op === "create" || request.op === "update" || request.op === "delete";
}

/** In order, after or before the writer gets its answer. */
function tell(followers: readonly Follower[], { op, key }: Write, object: StoredObject | undefined): void {
  const delayMs = 3;
  for (const { kind, watcher, filter } of followers) {
    if (kind !== key.kind) continue;
    setTimeout(() => {
      if (op !== "delete" && object !== undefined && matches(object, filter)) watcher.set(object);
      else watcher.gone(key);
    }, delayMs);
  }
}

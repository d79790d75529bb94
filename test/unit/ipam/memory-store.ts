/** A store in memory for tests: keeps every invariant in sight, and can be killed or made to fail at any write. */

import type { BlockSpec } from "../../../src/ipam/model/block.ts";
import { blockFault } from "../../../src/ipam/model/block-fault.ts";
import type { Kind, StoredObject } from "../../../src/store/object.ts";
import { StoreError } from "../../../src/store/store-error.ts";
import type { Store, StoreReply, StoreRequest } from "../../../src/store/transaction.ts";

/** Thrown out of `drive` and past every handler: the process is no more. */
export class Killed extends Error {}

export interface MemoryStore extends Store {
  readonly objects: Map<string, StoredObject>;
  /** What was set aside. */
  readonly aside: StoredObject[];
  /** Requests since the last reset, as `op kind name`. */
  readonly log: string[];
  /** Called before each write with its number from 0; throws to kill (`Killed`) or to fail. */
  beforeWrite: (index: number) => void;
  /** Counts writes from 0 again, and lives again. */
  restart(): void;
  all<Spec>(kind: Kind): readonly StoredObject<Spec>[];
}

export function memoryStore(): MemoryStore {
  let revision = 0;
  let writes = 0;
  let dead = false;
  const objects = new Map<string, StoredObject>();
  const store: MemoryStore = {
    objects,
    aside: [],
    log: [],
    beforeWrite: () => undefined,
    restart() {
      writes = 0;
      dead = false;
      store.beforeWrite = () => undefined;
      store.log.length = 0;
    },
    all: <Spec>(kind: Kind) =>
      [...objects.values()].filter((object) => object.kind === kind) as readonly StoredObject<Spec>[],
    handle(request) {
      if (dead) throw new Killed();
      store.log.push(describe(request));
      if (request.op === "read") {
        const object = objects.get(`${request.kind}/${request.name}`);
        return { objects: object === undefined ? [] : [structuredClone(object)] };
      }
      if (request.op === "list") {
        const objects = structuredClone([...store.all(request.kind)]);
        return { objects: objects.sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1)) };
      }
      try {
        store.beforeWrite(writes++);
      } catch (error) {
        dead = error instanceof Killed;
        throw error;
      }
      return write(request);
    },
  };

  function write(request: Exclude<StoreRequest, { op: "read" | "list" }>): StoreReply {
    if (request.op === "set aside") return setAside(request);
    const { object, op } = request;
    const key = `${object.kind}/${object.metadata.name}`;
    const stored = objects.get(key);
    if (op === "create" ? stored !== undefined : stored?.metadata.resourceVersion !== object.metadata.resourceVersion) {
      return { conflict: true };
    }
    if (op !== "create" && stored === undefined) return { conflict: true };
    if (op === "delete") {
      objects.delete(key);
      return { objects: [] };
    }
    if (object.kind === "IPAMBlock") judge(object.spec as BlockSpec, stored?.spec as BlockSpec | undefined);
    const written = structuredClone({ ...object, metadata: { ...object.metadata, resourceVersion: `${++revision}` } });
    objects.set(key, written);
    return { objects: [structuredClone(written)] };
  }

  function setAside({ kind, name, replacement }: Extract<StoreRequest, { op: "set aside" }>): StoreReply {
    const key = `${kind}/${name}`;
    const stored = objects.get(key);
    if (stored !== undefined) store.aside.push(stored);
    objects.delete(key);
    return replacement === undefined ? { objects: [] } : write({ op: "create", object: replacement });
  }

  return store;
}

/** A write that fails as a full disk does. */
export function diskFull(): never {
  throw new StoreError({
    action: "write",
    object: { kind: "IPAMBlock", name: "x" },
    reason: "No space left on device",
  });
}

function judge(spec: BlockSpec, before: BlockSpec | undefined): void {
  const fault = blockFault(spec);
  if (fault !== undefined) throw new Error(`block ${spec.cidr} broken: ${fault}`);
  if (before !== undefined && BigInt(spec.sequenceNumber) <= BigInt(before.sequenceNumber)) {
    throw new Error(`block ${spec.cidr}: sequence number ${spec.sequenceNumber} does not grow`);
  }
}

function describe(request: StoreRequest): string {
  if (request.op === "list") return `list ${request.kind}`;
  if (request.op === "read" || request.op === "set aside") return `${request.op} ${request.kind} ${request.name}`;
  return `${request.op} ${request.object.kind} ${request.object.metadata.name}`;
}

import { describe, expect, test } from "vitest";
import { Compacted } from "../../../../src/store/cluster/backend.ts";
import { clusterDatastore } from "../../../../src/store/cluster/datastore.ts";
import { DamagedError } from "../../../../src/store/damage.ts";
import type { StoredObject } from "../../../../src/store/object.ts";
import { StoreError } from "../../../../src/store/store-error.ts";
import { create, list, listWhole, read, remove, update } from "../../../../src/store/transaction.ts";
import { scriptedBackend } from "./scripted-backend.ts";

const key = { kind: "IPAMHandle", handleId: "n.a" } as const;

function handle(count: number): StoredObject {
  const spec = { handleID: "n.a", block: { "10.0.0.0/26": count, "10.0.0.64/26": 2 }, deleted: false };
  return { apiVersion: "", kind: "IPAMHandle", metadata: { name: "n.a" }, spec };
}

describe("a request without an answer", () => {
  test("is made again", async () => {
    const backend = scriptedBackend();
    const { transact } = clusterDatastore(backend);
    backend.mishaps.push("lost before", "lost before");
    expect(await transact(() => create(handle(1)))).toMatchObject({ spec: handle(1).spec });
    expect(backend.log).toEqual(["create n.a", "create n.a", "create n.a"]);
  });

  test("fails with its object when the deadline has passed", async () => {
    const backend = scriptedBackend();
    const { transact } = clusterDatastore(backend, { deadlineMs: 100 });
    backend.mishaps.push(...Array.from({ length: 50 }, () => "lost before" as const));
    await expect(transact(() => read(key))).rejects.toMatchObject({
      name: "Unanswered",
      message: 'cannot read IPAMHandle "n.a": no answer',
    });
    expect(backend.log.length).toBeGreaterThan(1);
    expect(backend.log.length).toBeLessThan(10);
  });

  test("is not made again where that makes no sense", async () => {
    const backend = scriptedBackend();
    const { transact } = clusterDatastore(backend);
    backend.mishaps.push(
      new StoreError({ action: "read", object: { kind: "IPAMHandle", name: "n.a" }, reason: "forbidden" }),
    );
    await expect(transact(() => read(key))).rejects.toThrow("forbidden");
    expect(backend.log).toEqual(["read n.a"]);
  });

  test("a listing whose pages were forgotten begins again", async () => {
    const backend = scriptedBackend();
    backend.mishaps.push(new Compacted("IPAMHandle", "too old"));
    expect(await clusterDatastore(backend).transact(() => list("IPAMHandle"))).toEqual([]);
  });
});

describe("a write whose answer was lost", () => {
  test("is known to be done by what is stored, whatever the order of its fields", async () => {
    const backend = scriptedBackend();
    const { transact } = clusterDatastore(backend);
    backend.mishaps.push("lost after");
    const created = (await transact(() => create(handle(1)))) as StoredObject;
    expect(created.metadata.resourceVersion).toBe("1");
    backend.mishaps.push("lost after");
    const { handleID, block, deleted } = handle(2).spec as Record<string, unknown>;
    const spec = { deleted, handleID, block, note: null };
    expect((await transact(() => update({ ...created, spec })))?.metadata.resourceVersion).toBe("2");
    backend.mishaps.push("lost after");
    expect(await transact(() => remove(backend.objects.get("n.a") as StoredObject))).toBe(true);
  });

  test("is a conflict where somebody else's is stored", async () => {
    const backend = scriptedBackend();
    const { transact } = clusterDatastore(backend);
    await transact(() => create(handle(7)));
    backend.mishaps.push("lost before");
    expect(await transact(() => create(handle(1)))).toBeUndefined();
  });

  test("is not asked about where nothing was lost", async () => {
    const backend = scriptedBackend();
    const { transact } = clusterDatastore(backend);
    await transact(() => create(handle(1)));
    expect(await transact(() => create(handle(1)))).toBeUndefined();
    expect(backend.log).toEqual(["create n.a", "create n.a"]);
  });
});

describe("damage", () => {
  const damage = new DamagedError("read", { kind: "IPAMHandle", name: "n.a" }, "it is not JSON");

  test("is repaired once, and the transaction begins again", async () => {
    const backend = scriptedBackend();
    const repaired: string[] = [];
    const repair = function* (error: DamagedError) {
      repaired.push(error.object.name);
      yield { op: "sweep" } as const;
      return true;
    };
    const { transact } = clusterDatastore(backend, { repair });
    backend.mishaps.push(damage);
    expect(await transact(() => read(key))).toBeUndefined();
    backend.mishaps.push(damage, damage);
    await expect(transact(() => read(key))).rejects.toBe(damage);
    expect(repaired).toEqual(["n.a", "n.a"]);
  });

  test("leaves a listing out of it, which is told, and fails one that must be whole", async () => {
    const told: unknown[] = [];
    const backend = {
      ...scriptedBackend(),
      async *pages() {
        yield { objects: [handle(1)], damaged: [damage], revision: "1" };
      },
    };
    const { transact } = clusterDatastore(backend, { onDamaged: (error) => told.push(error) });
    expect(await transact(() => list("IPAMHandle"))).toEqual([handle(1)]);
    expect(told).toEqual([damage]);
    await expect(transact(() => listWhole("IPAMHandle"))).rejects.toBe(damage);
  });
});

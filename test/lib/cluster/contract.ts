/** The contract of a cluster's datastore, tested on a real server. */
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { autoAssign } from "../../../src/ipam/assign/assign.ts";
import { newAffinity } from "../../../src/ipam/model/affinity.ts";
import { assign, type Block, newBlock, withSpec } from "../../../src/ipam/model/block.ts";
import { listPools } from "../../../src/ipam/model/pool.ts";
import { releaseByHandle } from "../../../src/ipam/release/release.ts";
import type { AsyncDatastore, AsyncDatastoreOptions } from "../../../src/store/async-datastore.ts";
import type { Key } from "../../../src/store/key.ts";
import type { StoredObject } from "../../../src/store/object.ts";
import { create, list, read, remove, type Transaction, update } from "../../../src/store/transaction.ts";
import { owners, walk } from "../../unit/ipam/walk.ts";
import { howMany } from "../how-many.ts";
import { clusterGround } from "./ground.ts";
import type { Relay } from "./relay.ts";

export interface Site {
  /** Connects through the relay or directly. */
  open(through: "direct" | "relay", options?: AsyncDatastoreOptions): Promise<AsyncDatastore>;
  readonly relay: Relay;
  /** Removes every object. */
  clear(): Promise<void>;
  compact(): Promise<void>;
  /** Whether a watch from a revision before `compact` fails. */
  readonly forgetsChanges: boolean;
  /** Whether several objects can be written in one request. */
  readonly writesTogether: boolean;
  freeze(): void;
  thaw(): void;
}

/** Calls `site` when the tests run. */
export function describeContract(name: string, site: () => Site): void {
  const opened: AsyncDatastore[] = [];
  const open = async (through: "direct" | "relay", options?: AsyncDatastoreOptions) => {
    const datastore = await site().open(through, options);
    opened.push(datastore);
    return datastore;
  };
  beforeEach(() => site().clear());
  afterEach(() => {
    for (const datastore of opened.splice(0)) datastore.close();
  });

  describe(`the contract, over ${name}`, () => {
    test("assign and release agree with a map of owners, whatever comes and whoever is broken off", async () => {
      const datastore = await open("direct");
      const ground = async () => {
        await site().clear();
        return clusterGround(datastore);
      };
      await walk(ground, howMany(60));
    });

    test("128 ADDs of two nodes at once have an address each, and DEL leaves nothing", async () => {
      const datastore = await open("direct");
      const ground = clusterGround(datastore);
      await ground.put("IPPool", "p", { cidr: "10.0.0.0/22", blockSize: 26 });
      const containers = Array.from({ length: 128 }, (_, index) => `c${index}`);
      const added = await Promise.all(
        containers.map((container, index) => datastore.transact(() => add(index % 2 === 0 ? "a" : "b", container))),
      );
      expect(new Set(added.flat()).size).toBe(128);
      expect((await owners(ground)).size).toBe(128);
      await Promise.all(containers.map((container) => datastore.transact(() => releaseByHandle(`net.${container}`))));
      expect((await owners(ground)).size).toBe(0);
      expect(await ground.all("IPAMHandle")).toEqual([]);
    });

    describeRequests(() => open("direct"));
    describeTrouble(site, open);
  });
}

function describeRequests(open: () => Promise<AsyncDatastore>): void {
  test("a create meets the one before it, and an update or delete of an old revision meets the new one", async () => {
    const { transact } = await open();
    const first = await transact(() => create(handle("n.a", 1)));
    expect(first?.metadata.resourceVersion).toBeDefined();
    expect(await transact(() => create(handle("n.a", 2)))).toBeUndefined();
    const second = await transact(() => update({ ...(first as StoredObject), spec: handle("n.a", 2).spec }));
    expect(second?.metadata.resourceVersion).not.toBe(first?.metadata.resourceVersion);
    expect(await transact(() => update(first as StoredObject))).toBeUndefined();
    expect(await transact(() => remove(first as StoredObject))).toBe(false);
    expect(await transact(() => read(key("n.a")))).toEqual(second);
    expect(await transact(() => remove(second as StoredObject))).toBe(true);
    expect(await transact(() => read(key("n.a")))).toBeUndefined();
    expect(await transact(() => remove(second as StoredObject))).toBe(false);
    expect(await transact(() => update(second as StoredObject))).toBeUndefined();
  });

  test("a listing is in the order of names, whole over several pages, and narrowed", async () => {
    const { transact } = await open();
    const ids = Array.from({ length: 25 }, (_, index) => `${index % 2 === 0 ? "n" : "n2"}.c${index + 10}`);
    await Promise.all(ids.map((id) => transact(() => create(handle(id, 1)))));
    const names = (objects: readonly StoredObject[]) => objects.map(({ metadata }) => metadata.name);
    expect(names(await transact(() => list("IPAMHandle")))).toEqual([...ids].sort());
    expect(names(await transact(() => list("IPAMHandle", { network: "n" })))).toEqual(
      ids.filter((id) => id.startsWith("n.")).sort(),
    );
  });
}

function describeTrouble(
  site: () => Site,
  open: (through: "direct" | "relay", options?: AsyncDatastoreOptions) => Promise<AsyncDatastore>,
) {
  test("a write whose answer is lost is done once, and known to be done", async () => {
    const { transact } = await open("relay", { timeoutMs: 300, deadlineMs: 5000 });
    const created = await losing(site(), () => transact(() => create(handle("n.a", 1))));
    expect(created?.spec).toEqual(handle("n.a", 1).spec);
    const updated = await losing(site(), () =>
      transact(() => update({ ...(created as StoredObject), spec: handle("n.a", 2).spec })),
    );
    expect(updated?.spec).toEqual(handle("n.a", 2).spec);
    expect(await losing(site(), () => transact(() => remove(updated as StoredObject)))).toBe(true);
    expect(await transact(() => read(key("n.a")))).toBeUndefined();
  });

  test("what a write answers is what is stored", async () => {
    const { transact } = await open("direct");
    const block = await transact(() => create(newBlock("10.0.0.0/26", "host:a", 1_690_113_884_806_720_472n)));
    const readBlock = () => transact(() => read({ kind: "IPAMBlock", cidr: "10.0.0.0/26" }));
    expect(await readBlock()).toEqual(block);
    const { spec } = assign((block as Block).spec, 2, { handle_id: "n.a", secondary: { node: "a" } }, () => false);
    const updated = await transact(() => update(withSpec(block as Block, spec)));
    expect(await readBlock()).toEqual(updated);
    const created = await transact(() => create(handle("n.a", 2)));
    expect(await transact(() => read(key("n.a")))).toEqual(created);
  });

  test("several objects are written together or not at all, and once though the answer is lost", async () => {
    const { transact, writeTogether } = await open("relay", { timeoutMs: 300, deadlineMs: 5000 });
    expect(writeTogether !== undefined).toBe(site().writesTogether);
    if (writeTogether === undefined) return;
    const first = (await transact(() => create(handle("n.a", 1)))) as StoredObject;
    const second = { ...first, spec: handle("n.a", 2).spec };
    const written = await losing(site(), () => writeTogether([handle("n.b", 1), handle("n.c", 1)], second));
    const stored = async (id: string) => await transact(() => read(key(id)));
    expect(written?.updated).toEqual(await stored("n.a"));
    expect(written?.created).toMatchObject([(await stored("n.b")) ?? {}, (await stored("n.c")) ?? {}]);
    // An object that exists, and a revision that is old.
    expect(await writeTogether([handle("n.d", 1), handle("n.b", 2)], written?.updated ?? first)).toBeUndefined();
    expect(await writeTogether([handle("n.d", 1)], first)).toBeUndefined();
    expect(await stored("n.d")).toBeUndefined();
    expect((await stored("n.a"))?.spec).toEqual(second.spec);
  });

  test("a server that does not answer is named within the deadline, and works again when it does", async () => {
    const { transact } = await open("relay", { timeoutMs: 1000, deadlineMs: 1500 });
    await transact(() => create(handle("n.a", 1)));
    site().freeze();
    try {
      const started = Date.now();
      await expect(transact(() => read(key("n.a")))).rejects.toMatchObject({
        name: "Unanswered",
        kind: "timeout",
        object: { kind: "IPAMHandle", name: "n.a" },
      });
      expect(Date.now() - started).toBeLessThan(5000);
    } finally {
      site().thaw();
    }
    await expect
      .poll(() => transact(() => read(key("n.a"))).then(Boolean, () => false), { timeout: 10_000 })
      .toBe(true);
  });

  test("of what is followed, a filter leaves the rest out", async () => {
    const { transact, follow } = await open("direct");
    const seen = new Set<string>();
    const watcher = {
      all: (objects: readonly StoredObject[]) => objects.forEach(({ metadata }) => void seen.add(metadata.name)),
      set: ({ metadata }: StoredObject) => void seen.add(metadata.name),
      gone: () => undefined,
      trouble: () => undefined,
    };
    await transact(() => create(newAffinity("a", "10.0.0.0/26", "confirmed")));
    await transact(() => create(newAffinity("b", "10.0.0.64/26", "confirmed")));
    follow("BlockAffinity", watcher, { node: "b" });
    await expect.poll(() => [...seen]).toEqual(["b-10-0-0-64-26"]);
    await transact(() => create(newAffinity("a", "10.0.0.128/26", "confirmed")));
    await transact(() => create(newAffinity("b", "10.0.0.192/26", "confirmed")));
    await expect.poll(() => [...seen]).toEqual(["b-10-0-0-64-26", "b-10-0-0-192-26"]);
  });

  test("what is asked for after the end is refused", async () => {
    const datastore = await open("direct");
    datastore.close();
    await expect(datastore.transact(() => read(key("n.a")))).rejects.toThrow("closed");
  });

  test("what is followed misses nothing when connections break and changes are forgotten", async () => {
    const datastore = await open("relay");
    const seen = new Map<string, unknown>();
    let listings = 0;
    datastore.follow("IPAMHandle", {
      all(objects) {
        listings++;
        seen.clear();
        for (const { metadata, spec } of objects) seen.set(metadata.name, spec);
      },
      set: ({ metadata, spec }) => seen.set(metadata.name, spec),
      gone: (gone) => seen.delete("handleId" in gone ? gone.handleId : ""),
      trouble: () => undefined,
    });
    const { transact } = await site().open("direct");
    const agrees = async () => {
      const stored = await transact(() => list("IPAMHandle"));
      await expect
        .poll(() => Object.fromEntries(seen), { timeout: 15_000 })
        .toEqual(Object.fromEntries(stored.map(({ metadata, spec }) => [metadata.name, spec])));
    };
    const first = await transact(() => create(handle("n.a", 1)));
    await agrees();
    await transact(() => create(handle("n.b", 1)));
    await transact(() => update({ ...(first as StoredObject), spec: handle("n.a", 2).spec }));
    await agrees();
    site().relay.cut();
    const third = await transact(() => create(handle("n.c", 1)));
    await agrees();
    expect(listings).toBe(1);
    site().relay.swallows = true;
    site().relay.cut();
    await transact(() => remove(third as StoredObject));
    await transact(() => create(handle("n.d", 1)));
    await site().compact();
    site().relay.swallows = false;
    site().relay.cut();
    await agrees();
    if (site().forgetsChanges) expect(listings).toBeGreaterThan(1);
  });
}

/** Discards the server's answers for a while, long enough for one attempt. */
async function losing<T>({ relay }: Site, body: () => Promise<T>): Promise<T> {
  relay.swallows = true;
  const [result] = await Promise.all([
    body(),
    sleep(250).then(() => {
      relay.swallows = false;
      relay.cut();
    }),
  ]);
  return result;
}

function key(handleId: string): Key {
  return { kind: "IPAMHandle", handleId };
}

function handle(handleID: string, count: number): StoredObject {
  return {
    apiVersion: "crd.projectcalico.org/v1",
    kind: "IPAMHandle",
    metadata: { name: handleID },
    spec: { handleID, block: { "10.0.0.0/26": count }, deleted: false },
  };
}

function* add(node: string, containerId: string): Transaction<readonly string[]> {
  const wanted = [{ family: 4 as const, pools: [], count: 1 }];
  const request = {
    handleId: `net.${containerId}`,
    node,
    attributes: { node },
    now: 5n,
    pools: yield* listPools(),
    wanted,
  };
  return (yield* autoAssign(request)).map(({ address }) => address);
}

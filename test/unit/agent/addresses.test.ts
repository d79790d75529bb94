import { setTimeout as sleep } from "node:timers/promises";
import { beforeEach, describe, expect, test } from "vitest";
import { withDeadline } from "../../../src/agent/deadline.ts";
import { Addresses } from "../../../src/agent/ipam/addresses.ts";
import type { AssignOrder } from "../../../src/agent/ipam/assigner.ts";
import { KeyedQueue } from "../../../src/agent/ipam/keyed-queue.ts";
import { autoAssign } from "../../../src/ipam/assign/assign.ts";
import type { BlockSpec } from "../../../src/ipam/model/block.ts";
import { handleIdOf } from "../../../src/ipam/model/handle.ts";
import { listPools } from "../../../src/ipam/model/pool.ts";
import { type AsyncStore, driveAsync } from "../../../src/store/transaction.ts";
import { type MemoryDatastore, memoryDatastore } from "./memory-datastore.ts";

const ms = 5000;
let datastore: MemoryDatastore;
let addresses: Addresses;

beforeEach(() => {
  datastore = memoryDatastore();
  datastore.memory.put("IPPool", "four", { cidr: "10.0.0.0/24", blockSize: 28 });
  datastore.memory.put("IPPool", "six", { cidr: "fd00::/120", blockSize: 124 });
  addresses = new Addresses(datastore, () => ({ seconds: 1_700_000_000, nanoseconds: 5 }));
});

function order(id: string, more: Partial<AssignOrder> = {}): AssignOrder {
  return {
    node: "n1",
    attachment: { network: "net", containerId: id, ifname: "eth0" },
    pod: { namespace: "ns", name: `pod-${id}` },
    wanted: [{ family: 4, pools: [] }],
    addresses: [],
    reserved: [],
    ...more,
  };
}

const kept = () =>
  ["IPAMBlock", "BlockAffinity", "IPAMHandle"].map((kind) => datastore.memory.all(kind as "IPAMBlock").length);

describe("assign()", () => {
  test("gives an address of each family, and the same ones again", async () => {
    const both = order("a", { wanted: [4, 6].map((family) => ({ family: family as 4 | 6, pools: [] })) });
    const { addresses: given, pools } = await addresses.assign(both, ms);
    expect(pools.map(({ name }) => name)).toEqual(["four", "six"]);
    expect(given.map(({ family, block }) => [family, block.split("/")[1]])).toEqual([
      [4, "28"],
      [6, "124"],
    ]);
    expect((await addresses.assign(both, ms)).addresses).toEqual(given);
    expect(await addresses.held(both.attachment, ms)).toEqual(given);
  });

  test("notes whose it is", async () => {
    await addresses.assign(order("a"), ms);
    const [block] = datastore.memory.all<BlockSpec>("IPAMBlock");
    expect(block?.spec.attributes).toEqual([
      {
        handle_id: "net.a",
        secondary: {
          ...{ interface: "eth0", namespace: "ns", node: "n1", pod: "pod-a" },
          timestamp: "2023-11-14 22:13:20.000000005 +0000 UTC",
        },
      },
    ]);
  });

  test("many at once on two nodes get one each, and give all back", async () => {
    const orders = Array.from({ length: 60 }, (_, index) =>
      order(`c${index}`, { node: index % 2 === 0 ? "n1" : "n2" }),
    );
    const given = await Promise.all(orders.map((one) => addresses.assign(one, ms)));
    expect(new Set(given.flatMap((one) => one.addresses.map(({ address }) => address))).size).toBe(60);
    const back = await Promise.all(orders.map((one) => addresses.release(one, ms)));
    expect(back.flat().length).toBe(60);
    expect(datastore.memory.all("IPAMHandle")).toEqual([]);
    expect(await addresses.release(order("c0"), ms)).toEqual([]);
  });

  test("an address by name is given, and taken over from the pod's earlier sandbox alone", async () => {
    const named = { addresses: ["10.0.0.5"] };
    const { addresses: given } = await addresses.assign(order("a", named), ms);
    expect(given).toEqual([{ address: "10.0.0.5", family: 4, block: "10.0.0.0/28" }]);
    await expect(addresses.assign(order("b", named), ms)).rejects.toMatchObject({ shortage: { why: "taken" } });
    const again = order("b", { ...named, pod: { namespace: "ns", name: "pod-a" } });
    expect((await addresses.assign(again, ms)).addresses).toHaveLength(1);
    expect(await addresses.held(order("a").attachment, ms)).toEqual([]);
  });

  test("makes no pool, and says that there is none", async () => {
    datastore.memory.objects.clear();
    await expect(addresses.assign(order("a"), ms)).rejects.toThrow("no configured Calico pools for node n1");
    expect(kept()).toEqual([0, 0, 0]);
  });
});

describe("collect()", () => {
  test("releases what no attachment of the node's holds, and nothing of another node's or network's", async () => {
    await addresses.assign(order("a"), ms);
    await addresses.assign(order("b"), ms);
    await addresses.assign(order("c", { node: "n2" }), ms);
    await addresses.assign(order("d", { attachment: { network: "other", containerId: "d", ifname: "eth0" } }), ms);
    const collected = await addresses.collect(
      { node: "n1", network: "net", valid: [{ containerId: "a", ifname: "eth0" }] },
      ms,
    );
    expect(collected.errors).toEqual([]);
    expect(collected.released).toHaveLength(1);
    expect(
      datastore.memory
        .all("IPAMHandle")
        .map(({ spec }) => (spec as { handleID: string }).handleID)
        .sort(),
    ).toEqual(["net.a", "net.c", "other.d"]);
  });
});

describe("requireFree()", () => {
  const wanted = [{ family: 4, pools: [] }] as const;

  test("changes nothing", async () => {
    await addresses.requireFree("n1", wanted, ms);
    expect(kept()).toEqual([0, 0, 0]);
  });

  test("says when an ADD would find none", async () => {
    datastore.memory.put("IPPool", "four", { cidr: "10.0.0.0/32", blockSize: 32 });
    await addresses.assign(order("a"), ms);
    await expect(addresses.requireFree("n1", wanted, ms)).rejects.toMatchObject({
      shortage: { why: "pools exhausted" },
    });
  });
});

describe("withDeadline()", () => {
  test("a transaction that is too slow ends, and takes back what it wrote", async () => {
    const slow: AsyncStore = {
      async handle(request) {
        await sleep(20);
        return await datastore.store.handle(request);
      },
    };
    const pools = await driveAsync(listPools(), datastore.store);
    const attachment = { network: "net", containerId: "a", ifname: "eth0" };
    const request = { handleId: handleIdOf(attachment), node: "n1", attributes: {}, now: 0n, pools };
    for (let limit = 20; limit < 200; limit += 30) {
      const assigning = autoAssign({ ...request, wanted: [{ family: 4, pools: [], count: 1 }] });
      await expect(driveAsync(assigning, withDeadline(slow, limit))).rejects.toMatchObject({ name: "OutOfTime" });
      expect(datastore.memory.all("IPAMHandle")).toEqual([]);
    }
  });
});

describe("KeyedQueue", () => {
  test("one key's go one after another, also behind one that failed; others' beside them", async () => {
    const queue = new KeyedQueue();
    const said: string[] = [];
    const say = (key: string, word: string, pause: number, fails = false) =>
      queue.run(key, async () => {
        said.push(`${word}(`);
        await sleep(pause);
        said.push(`${word})`);
        if (fails) throw new Error(word);
      });
    const all = [say("x", "a", 30, true), say("x", "b", 1), say("y", "c", 1)];
    expect((await Promise.allSettled(all)).map(({ status }) => status)).toEqual(["rejected", "fulfilled", "fulfilled"]);
    expect(said).toEqual(["a(", "c(", "c)", "a)", "b(", "b)"]);
  });
});

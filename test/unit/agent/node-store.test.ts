import { setTimeout as sleep } from "node:timers/promises";
import { beforeEach, describe, expect, test } from "vitest";
import { NodeStore } from "../../../src/agent/datastore/node-store.ts";
import { Addresses } from "../../../src/agent/ipam/addresses.ts";
import { Adds } from "../../../src/agent/ipam/adds.ts";
import { autoAssign } from "../../../src/ipam/assign/assign.ts";
import type { BlockSpec } from "../../../src/ipam/model/block.ts";
import { listPools } from "../../../src/ipam/model/pool.ts";
import { driveAsync } from "../../../src/store/transaction.ts";
import { type MemoryDatastore, memoryDatastore } from "./memory-datastore.ts";

const ms = 20_000;
const clock = () => ({ seconds: 1_700_000_000, nanoseconds: 5 });

let datastore: MemoryDatastore;
let addresses: Addresses;

beforeEach(async () => {
  datastore = memoryDatastore();
  datastore.memory.put("IPPool", "four", { cidr: "10.0.0.0/22", blockSize: 26 });
  addresses = await agentOf("n1");
});

async function agentOf(node: string): Promise<Addresses> {
  const own = new Addresses(datastore, clock, new NodeStore(datastore, node));
  await sleep(5);
  return own;
}

function order(name: string, node = "n1") {
  return {
    ...{ node, attachment: { network: "net", containerId: name, ifname: "eth0" } },
    ...{ pod: { namespace: "ns", name }, wanted: [{ family: 4, pools: [] }] as const, addresses: [], reserved: [] },
  };
}

const names = (count: number, prefix = "c") => Array.from({ length: count }, (_, index) => `${prefix}${index}`);

const assignAll = (all: readonly string[]) => Promise.all(all.map((name) => addresses.assign(order(name), ms)));

function allocated(): number {
  const blocks = datastore.memory.all<BlockSpec>("IPAMBlock");
  return blocks.flatMap(({ spec }) => spec.allocations).filter((index) => index !== null).length;
}

function counted(from = 0): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const request of datastore.requests.slice(from)) counts[request] = (counts[request] ?? 0) + 1;
  return counts;
}

describe("NodeStore", () => {
  test("writes a block once for many pods, and reads nothing for them", async () => {
    await addresses.assign(order("first"), ms);
    await sleep(10);
    const start = datastore.requests.length;
    const given = await assignAll(names(50));
    expect(new Set(given.flatMap((one) => one.addresses.map(({ address }) => address))).size).toBe(50);
    expect(given.every(({ isNew }) => isNew)).toBe(true);
    const { "update IPAMBlock": blockWrites = 0, ...others } = counted(start);
    expect(others).toEqual({ "create IPAMHandle": 50 });
    expect(blockWrites).toBeLessThan(10);
    expect(allocated()).toBe(51);
  });

  test("releases many with few writes, and leaves nothing", async () => {
    await assignAll(names(50));
    await sleep(10);
    const start = datastore.requests.length;
    const released = await Promise.all(names(50).map((name) => addresses.release(order(name), ms)));
    expect(released.flat()).toHaveLength(50);
    expect(counted(start)["update IPAMBlock"]).toBeLessThan(10);
    expect(allocated()).toBe(0);
    expect(datastore.memory.all("IPAMHandle")).toEqual([]);
  });

  test("a release reads nothing but its handle, and the handle of Calico 2 only where a block has it", async () => {
    await addresses.assign(order("a"), ms);
    const fresh = await agentOf("n1");
    let start = datastore.requests.length;
    expect(await fresh.release(order("a"), ms)).toHaveLength(1);
    expect(counted(start)).toEqual({ "read IPAMHandle": 1, "update IPAMBlock": 1, "delete IPAMHandle": 1 });
    const legacy = { handleId: "ns.old", node: "n1", attributes: {}, now: 1n };
    await datastore.transact(function* () {
      const pools = yield* listPools();
      return yield* autoAssign({ ...legacy, pools, wanted: [{ family: 4, pools: [], count: 1 }] });
    });
    await sleep(10);
    start = datastore.requests.length;
    expect(await fresh.release(order("old"), ms)).toHaveLength(1);
    expect(counted(start)).toMatchObject({ "read IPAMHandle": 2 });
    expect(allocated()).toBe(0);
  });

  test("GC lists only this node's affinities, from memory", async () => {
    await addresses.assign(order("a"), ms);
    await sleep(10);
    const start = datastore.requests.length;
    await addresses.collect({ node: "n1", network: "net", valid: [] }, ms);
    expect(counted(start)["list BlockAffinity"]).toBeUndefined();
    expect(allocated()).toBe(0);
  });

  test("claims one block when many need one, and the next when it is full", async () => {
    await assignAll(names(30));
    expect(datastore.memory.all("IPAMBlock")).toHaveLength(1);
    await assignAll(names(90, "d"));
    expect(datastore.memory.all("IPAMBlock")).toHaveLength(2);
    expect(allocated()).toBe(120);
  });

  test("many that wait for the last addresses of a block write their handles once", async () => {
    await addresses.assign(order("first"), ms);
    await sleep(10);
    const start = datastore.requests.length;
    await assignAll(names(100));
    expect(allocated()).toBe(101);
    const { "create IPAMHandle": created, "delete IPAMHandle": deleted, "update IPAMHandle": updated } = counted(start);
    expect([created, deleted, updated]).toEqual([100, undefined, undefined]);
  });

  test("while ADDs are in progress a block waits for their updates; one alone does not wait", async () => {
    const adds = new Adds();
    const own = new Addresses(datastore, clock, new NodeStore(datastore, "n1", undefined, () => adds.count()));
    await sleep(5);
    await own.assign(order("first"), ms);
    const start = datastore.requests.length;
    const all = names(20);
    for (const name of all) adds.begin(name);
    await Promise.all(
      all.map(async (name, index) => {
        await sleep(4 * index);
        await own.assign(order(name), ms);
        adds.end(name);
      }),
    );
    expect(counted(start)["update IPAMBlock"]).toBeLessThan(6);
    expect(adds.count()).toBe(0);
  });

  test("gives an attachment what it holds, also after it was asked for twice at once and by another agent", async () => {
    const [one, other] = await Promise.all([addresses.assign(order("a"), ms), addresses.assign(order("a"), ms)]);
    expect(other.addresses).toEqual(one.addresses);
    expect([one.isNew, other.isNew].filter(Boolean)).toHaveLength(1);
    const next = await agentOf("n1");
    expect(await next.assign(order("a"), ms)).toMatchObject({ addresses: one.addresses, isNew: false });
    expect(allocated()).toBe(1);
  });

  test("goes on when another node changes the block meanwhile", async () => {
    await addresses.assign(order("first"), ms);
    await sleep(10);
    const borrow = async (name: string) => {
      const handle = { handleId: `net.${name}`, node: "n1", attributes: {}, now: 1n };
      const transaction = function* () {
        const pools = yield* listPools();
        return yield* autoAssign({ ...handle, pools, wanted: [{ family: 4, pools: [], count: 1 }] });
      };
      return await driveAsync(transaction(), datastore.store);
    };
    const [foreign, given] = await Promise.all([
      (async () => {
        const all = [];
        for (const name of names(10, "foreign")) all.push(...(await borrow(name)));
        return all;
      })(),
      assignAll(names(40)),
    ]);
    const every = [...foreign, ...given.flatMap((one) => one.addresses)].map(({ address }) => address);
    expect(new Set(every).size).toBe(50);
    expect(allocated()).toBe(51);
  });

  test("what a datastore that is away did not take is given to others when it is back", async () => {
    await addresses.assign(order("first"), ms);
    datastore.isAway = true;
    const failed = await Promise.allSettled(names(10).map((name) => addresses.assign(order(name), ms)));
    expect(failed.every(({ status }) => status === "rejected")).toBe(true);
    datastore.isAway = false;
    await assignAll(names(20, "d"));
    expect(allocated()).toBe(21);
    for (const name of ["first", ...names(10), ...names(20, "d")]) await addresses.release(order(name), ms);
    expect(allocated()).toBe(0);
    expect(datastore.memory.all("IPAMHandle")).toEqual([]);
  });

  test("a pool that is disabled gives nothing more as soon as the watch tells", async () => {
    await addresses.assign(order("first"), ms);
    const [pool] = datastore.memory.all<object>("IPPool");
    if (pool === undefined) throw new Error("no pool");
    const key = { kind: "IPPool", name: "four" } as const;
    await datastore.store.handle({ op: "update", key, object: { ...pool, spec: { ...pool.spec, disabled: true } } });
    await sleep(10);
    await expect(addresses.assign(order("second"), ms)).rejects.toThrow("no configured Calico pools");
  });
});

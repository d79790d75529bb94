import { describe, expect, test } from "vitest";
import { autoAssign } from "../../../src/ipam/assign/assign.ts";
import { handleIdOf } from "../../../src/ipam/model/handle.ts";
import { listPools } from "../../../src/ipam/model/pool.ts";
import { collect } from "../../../src/ipam/release/gc.ts";
import { releaseByHandle } from "../../../src/ipam/release/release.ts";
import type { Transaction } from "../../../src/store/transaction.ts";
import { howMany } from "../../lib/how-many.ts";
import { asyncGround, fileGround, lossyGround, memoryGround } from "./ground.ts";
import { SlowStore } from "./slow-store.ts";
import { type Ground, owners, walk } from "./walk.ts";

/** The contract of every datastore. Add new drivers here. */
const grounds: readonly (readonly [string, () => Ground, number])[] = [
  ["files", fileGround, 40],
  ["memory", () => memoryGround(true), 150],
  ["memory without hints", () => memoryGround(false), 150],
  ["memory that answers later", asyncGround, 30],
  ["memory whose answers get lost after the write", lossyGround, 150],
];

describe.each(grounds)("IPAM over %s", (_, make, numRuns) => {
  test("assign and release agree with a map of owners, whatever comes and whoever is broken off", async () => {
    await walk(make, howMany(numRuns));
  });

  test("collect() of one of two nodes frees nothing of the other's", async () => {
    const ground = make();
    await ground.put("IPPool", "p", { cidr: "10.0.0.0/24", blockSize: 30 });
    for (const container of ["1", "2", "3", "4", "5"]) {
      await ground.run(() => add("a", `a${container}`));
      await ground.run(() => add("b", `b${container}`));
    }
    const isValid = ({ containerId }: { readonly containerId: string }) => containerId === "a1";
    const { released } = await ground.run(() => collect({ network: "net", node: "a", now: 0n, isValid }));
    expect(released).toHaveLength(4);
    expect([...(await owners(ground)).values()].sort()).toEqual([
      "net.a1",
      "net.b1",
      "net.b2",
      "net.b3",
      "net.b4",
      "net.b5",
    ]);
  });
});

describe("autoAssign(): 128 ADDs of two nodes at once, over a store without a lock", () => {
  test("have an address each, DEL leaves nothing, and waiting after a conflict saves requests", async () => {
    const [impatient, patient] = [await crowd(false), await crowd(true)];
    for (const { addresses, left } of [impatient, patient]) {
      expect(new Set(addresses).size).toBe(128);
      expect(left).toBe(0);
    }
    // 8 without contention; it was 82 before settings were read once and writers waited.
    expect(patient.requests / 128).toBeLessThan(25);
    expect(impatient.requests / 128).toBeGreaterThan(30);
  });

  test("have an address each also where every twentieth answer gets lost", async () => {
    const { addresses, failed, left } = await crowd(true, 20);
    expect(addresses.length + failed).toBe(128);
    expect(new Set(addresses).size).toBe(addresses.length);
    expect(left).toBe(0);
  });
});

/** Concurrent ADDs, and then DELs, repeated until they succeed. */
async function crowd(waits: boolean, losesEach = 0) {
  const store = new SlowStore({ waits, losesEach });
  store.memory.put("IPPool", "p", { cidr: "10.0.0.0/22", blockSize: 26 });
  const containers = Array.from({ length: 128 }, (_, index) => `c${index}`);
  const node = (index: number) => (index % 2 === 0 ? "a" : "b");
  const added = await store.all(containers.map((container, index) => () => add(node(index), container)));
  const { requests } = store;
  const addresses = added.flatMap((one) => (one.status === "fulfilled" ? one.value : []));
  store.losesEach = 0;
  await store.all(containers.map((container) => () => releaseByHandle(`net.${container}`)));
  const left = (await owners(store.memory)).size + store.memory.all("IPAMHandle").length;
  return { addresses, requests, failed: added.filter(({ status }) => status === "rejected").length, left };
}

function* add(node: string, containerId: string): Transaction<readonly string[]> {
  const handleId = handleIdOf({ network: "net", containerId, ifname: "eth0" });
  const wanted = [{ family: 4 as const, pools: [], count: 1 }];
  const request = { handleId, node, attributes: { node }, now: 5n, pools: yield* listPools(), wanted };
  return (yield* autoAssign(request)).map(({ address }) => address);
}

import { beforeEach, describe, expect, test } from "vitest";
import { autoAssign } from "../../../../src/ipam/assign/assign.ts";
import { noteLastPools, readLastPools } from "../../../../src/ipam/assign/last-pool.ts";
import { listPools } from "../../../../src/ipam/model/pool.ts";
import { reclaimBlocks } from "../../../../src/ipam/release/reclaim.ts";
import { releaseByHandle } from "../../../../src/ipam/release/release.ts";
import { drive } from "../../../../src/store/transaction.ts";
import { type MemoryStore, memoryStore } from "../memory-store.ts";

let store: MemoryStore;
const wanted = [{ family: 4 as const, pools: [], count: 1 }];

beforeEach(() => {
  store = memoryStore();
});

describe("readLastPools()", () => {
  test("gives the pool that gave last, and nothing else is listed for it", () => {
    pools(20);
    const address = add("a");
    store.restart();
    const last = drive(readLastPools("node", wanted, undefined), store);
    expect(last?.pools.map(({ name }) => name)).toEqual([`pool-${address?.split(".")[1]?.padStart(3, "0")}`]);
    expect(store.log.filter((request) => request.startsWith("list"))).toEqual([]);
  });

  test("gives none on a node with few pools", () => {
    pools(16);
    add("a");
    expect(drive(readLastPools("node", wanted, undefined), store)).toBeUndefined();
  });

  test.each<[string, () => void]>([
    ["is disabled", () => pools(1, { disabled: true })],
    ["is Manual now", () => pools(1, { assignmentMode: "Manual" })],
    ["selects other nodes", () => pools(1, { nodeSelector: "has(rack)" })],
    ["makes no sense any more", () => pools(1, { blockSize: 99 })],
    ["is gone", () => void store.objects.delete("IPPool/pool-000")],
  ])("gives none when the pool %s", (_, change) => {
    pools(20);
    add("a");
    change();
    expect(drive(readLastPools("node", wanted, undefined), store)).toBeUndefined();
  });

  test("returns none for a request of other pools", () => {
    pools(20);
    add("a");
    const others = [{ family: 4 as const, pools: ["pool-003"] }];
    expect(drive(readLastPools("node", others, undefined), store)).toBeUndefined();
  });
});

test("releaseByHandle() from a full block reads no pool", () => {
  pools(20);
  for (let i = 0; i < 4; i++) add(`a${i}`);
  store.restart();
  drive(releaseByHandle("a0"), store);
  expect(store.log.filter((request) => /IPPool/.test(request))).toEqual([]);
  expect(add("b")).toBe("10.0.0.0");
});

describe("reclaimBlocks()", () => {
  test("gives up empty blocks of pools that are gone or select others, and no other", () => {
    pools(3);
    for (const [i, name] of ["pool-000", "pool-001", "pool-002"].entries()) {
      addFrom(`a${i}`, name);
    }
    addFrom("stays", "pool-001");
    for (let i = 0; i < 3; i++) drive(releaseByHandle(`a${i}`), store);
    store.objects.delete("IPPool/pool-000");
    store.objects.delete("IPPool/pool-001");
    expect(drive(reclaimBlocks("node"), store)).toEqual(["10.0.0.0/30"]);
    expect([...store.all("BlockAffinity")].map(({ metadata }) => metadata.name)).toEqual([
      "node-10-1-0-0-30",
      "node-10-2-0-0-30",
    ]);
  });
});

/** As the plugin does. */
function add(handleId: string): string | undefined {
  const all = drive(listPools(), store);
  const request = { handleId, node: "node", attributes: {}, now: 1n, wanted };
  const last = drive(readLastPools("node", wanted, undefined), store);
  const assigned = drive(
    autoAssign({ ...request, pools: last ?? all, reach: last === undefined ? "any" : "new" }),
    store,
  );
  drive(noteLastPools("node", wanted, all, assigned), store);
  return assigned[0]?.address;
}

function addFrom(handleId: string, pool: string): void {
  const wantedPool = [{ family: 4 as const, pools: [pool], count: 1 }];
  const all = drive(listPools(), store);
  drive(autoAssign({ handleId, node: "node", attributes: {}, now: 1n, pools: all, wanted: wantedPool }), store);
}

/** `pool-000` is 10.0.0.0/30, and so on: one block each. */
function pools(count: number, change: object = {}): void {
  for (let i = 0; i < count; i++) {
    const name = `pool-${String(i).padStart(3, "0")}`;
    const spec = { cidr: `10.${i}.0.0/30`, blockSize: 30, ...change };
    const metadata = { name, resourceVersion: "1" };
    store.objects.set(`IPPool/${name}`, { apiVersion: "v1", kind: "IPPool", metadata, spec });
  }
}

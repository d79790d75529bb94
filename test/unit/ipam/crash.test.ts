import { describe, expect, test } from "vitest";
import { autoAssign } from "../../../src/ipam/assign/assign.ts";
import { ensureDefaultPools } from "../../../src/ipam/assign/default-pools.ts";
import { releaseBlock } from "../../../src/ipam/model/affinity.ts";
import { attributeAt, type BlockSpec } from "../../../src/ipam/model/block.ts";
import type { HandleSpec } from "../../../src/ipam/model/handle.ts";
import { blockAddress } from "../../../src/ipam/model/ordinal.ts";
import { listPools } from "../../../src/ipam/model/pool.ts";
import { releaseByHandle } from "../../../src/ipam/release/release.ts";
import { drive, type Transaction } from "../../../src/store/transaction.ts";
import { Killed, type MemoryStore, memoryStore } from "./memory-store.ts";

const wanted = ([4, 6] as const).map((family) => ({ family, pools: [], count: 1 }));

interface Operation {
  readonly name: string;
  /** The number of existing pods; a block has two addresses. */
  readonly pods: number;
  readonly run: (store: MemoryStore) => Transaction<unknown>;
  /** A runtime repeats a DEL until it succeeds; after a failed ADD it may give up. */
  readonly alwaysRepeated: boolean;
}

/** Operations that are killed at each of their writes, on a store where each has something to do. */
const operations: readonly Operation[] = [
  { name: "the first ADD of a node", pods: 0, run: () => add("net.new"), alwaysRepeated: false },
  { name: "an ADD that fills a block", pods: 1, run: () => add("net.new"), alwaysRepeated: false },
  { name: "DEL in full blocks", pods: 2, run: () => releaseByHandle("net.0"), alwaysRepeated: true },
  { name: "the release of a block in use", pods: 1, run: giveUp, alwaysRepeated: false },
];

describe.each(operations)("$name, killed", ({ pods, run, alwaysRepeated }) => {
  test("loses no address and gives none out twice, and the next one finishes or undoes it", () => {
    let kills = 0;
    for (let step = 0; ; step++) {
      const store = prepared(pods);
      store.beforeWrite = (index) => {
        if (index === step) throw new Killed();
      };
      if (survives(store, run(store))) break;
      kills++;
      store.restart();
      if (alwaysRepeated || step % 2 === 0) drive(run(store), store);
      drive(releaseByHandle("net.new"), store);
      agree(store);
      fill(store);
      agree(store);
      for (const { spec } of store.all<HandleSpec>("IPAMHandle")) drive(releaseByHandle(spec.handleID), store);
      expect(store.all("IPAMHandle")).toEqual([]);
      for (const { spec } of store.all<BlockSpec>("IPAMBlock")) expect(spec.attributes).toEqual([]);
    }
    expect(kills).toBeGreaterThan(2);
  });
});

/** Pools of 8 addresses in blocks of 2, with this many pods. */
function prepared(pods: number): MemoryStore {
  const store = memoryStore();
  drive(
    ensureDefaultPools(
      [
        { family: 4, pools: ["10.0.0.0/26"] },
        { family: 6, pools: ["fd00::/122"] },
      ],
      {
        random: () => new Uint8Array(5),
        networks: () => undefined,
        routes: () => [],
        damagedPool: () => undefined,
        warn: (message) => expect.fail(message),
      },
    ),
    store,
  );
  for (const [key, object] of store.objects) {
    const cidr = key.includes("ipv4") ? "10.0.0.0/29" : "fd00::/125";
    store.objects.set(key, { ...object, spec: { cidr, blockSize: key.includes("ipv4") ? 31 : 127 } });
  }
  for (let i = 0; i < pods; i++) drive(add(`net.${i}`), store);
  store.restart();
  return store;
}

function* add(handleId: string) {
  return yield* autoAssign({
    handleId,
    node: "node",
    attributes: { node: "node", pod: handleId },
    now: 1n,
    wanted,
    pools: yield* listPools(),
  });
}

function giveUp(store: MemoryStore): Transaction<unknown> {
  return releaseBlock("node", store.all<BlockSpec>("IPAMBlock")[0]?.spec.cidr ?? "");
}

function survives(store: MemoryStore, operation: Transaction<unknown>): boolean {
  try {
    drive(operation, store);
    return true;
  } catch (error) {
    if (error instanceof Killed) return false;
    throw error;
  }
}

/** Assigns all remaining addresses: 8 pods in total, and no more. */
function fill(store: MemoryStore): void {
  for (let i = 0; owners(store).size < 16; i++) drive(add(`net.fill${i}`), store);
  expect(() => drive(add("net.more"), store)).toThrow("No IPs available");
}

/** Every allocated address has a handle that names its block. */
function agree(store: MemoryStore): void {
  const handles = new Map(store.all<HandleSpec>("IPAMHandle").map(({ spec }) => [spec.handleID, spec]));
  for (const [address, { handle, block }] of owners(store)) {
    expect(handles.get(handle)?.block[block], `${address} of ${handle}`).toBeGreaterThan(0);
  }
}

function owners(store: MemoryStore): Map<string, { readonly handle: string; readonly block: string }> {
  const found = new Map<string, { readonly handle: string; readonly block: string }>();
  for (const { spec } of store.all<BlockSpec>("IPAMBlock")) {
    for (const [ordinal, index] of spec.allocations.entries()) {
      if (index === null) continue;
      const handle = attributeAt(spec, ordinal)?.handle_id ?? "";
      found.set(blockAddress(spec, ordinal), { handle, block: spec.cidr });
    }
  }
  return found;
}

import fc from "fast-check";
import { expect, test } from "vitest";
import { autoAssign } from "../../../src/ipam/assign/assign.ts";
import { assignAddresses } from "../../../src/ipam/assign/explicit.ts";
import { checkIpam, type Snapshot } from "../../../src/ipam/check/check.ts";
import { confirmed, mend } from "../../../src/ipam/check/mend.ts";
import { releaseBlock } from "../../../src/ipam/model/affinity.ts";
import { attributeAt, type BlockSpec } from "../../../src/ipam/model/block.ts";
import type { HandleSpec } from "../../../src/ipam/model/handle.ts";
import { addressesOf, readHeld } from "../../../src/ipam/model/held.ts";
import { listPools } from "../../../src/ipam/model/pool.ts";
import { NoAddressError } from "../../../src/ipam/no-address.ts";
import { releaseByHandle } from "../../../src/ipam/release/release.ts";
import { releaseIps } from "../../../src/ipam/release/release-ips.ts";
import { contains } from "../../../src/net/prefix.ts";
import { create, drive, read, type Transaction, update } from "../../../src/store/transaction.ts";
import { howMany } from "../../lib/how-many.ts";
import { Killed, type MemoryStore, memoryStore } from "./memory-store.ts";

/** Three blocks of four addresses, two nodes, six handles: small enough that everything meets. */
const cidrs = ["10.0.0.0/30", "10.0.0.4/30", "10.0.0.8/30", "10.0.0.12/30"];
const handle = fc.constantFrom("net.a", "net.b", "net.c", "net.d", "net.e", "net.f");
const node = fc.constantFrom("one", "two");
const step = fc.record({
  action: fc.oneof(
    fc.record({ op: fc.constant("add" as const), handle, node, count: fc.integer({ min: 1, max: 5 }) }),
    fc.record({ op: fc.constant("ask" as const), handle, node, ordinal: fc.integer({ min: 0, max: 15 }) }),
    fc.record({ op: fc.constant("del" as const), handle }),
    fc.record({ op: fc.constant("give up" as const), node, cidr: fc.constantFrom(...cidrs) }),
    fc.record({
      op: fc.constant("reserve" as const),
      ranges: fc.uniqueArray(fc.constantFrom(...cidrs, "10.0.0.5/32")),
    }),
    fc.record({ op: fc.constant("release" as const), handle, ordinal: fc.integer({ min: 0, max: 15 }) }),
  ),
  /** The write at which the process is killed; most live. */
  killAt: fc.option(fc.nat(8), { freq: 4 }),
});
type Action = typeof step extends fc.Arbitrary<infer Step extends { action: unknown }> ? Step["action"] : never;

test("assign and release agree with a map of owners, whatever comes and whoever is killed", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const store = memoryStore();
      store.put("IPPool", "p", { cidr: "10.0.0.0/28", blockSize: 30 });
      let model = new Map<string, string>();
      reserved = [];
      for (const { action, killAt } of steps) {
        store.restart();
        store.beforeWrite = (index) => {
          if (index === killAt) throw new Killed();
        };
        const outcome = run(store, action);
        store.restart();
        model = outcome === "killed" ? afterKill(model, owners(store), action) : after(model, outcome, action);
        expect(owners(store)).toEqual(model);
        for (const [address, owner] of model) expect(held(store, owner)).toContain(address);
      }
      mendAll(store);
      expect(owners(store)).toEqual(model);
    }),
    { numRuns: howMany(150) },
  );
});

/** What is reserved at this step. */
let reserved: readonly string[] = [];

type Outcome = readonly string[] | "killed" | "full" | "taken";

function run(store: MemoryStore, action: Action): Outcome {
  try {
    return drive(transaction(action), store);
  } catch (error) {
    if (error instanceof Killed) return "killed";
    if (!(error instanceof NoAddressError)) throw error;
    return error.shortage.why === "taken" ? "taken" : "full";
  }
}

function* transaction(action: Action): Transaction<readonly string[]> {
  if (action.op === "give up") {
    yield* releaseBlock(action.node, action.cidr);
    return [];
  }
  if (action.op === "reserve") return yield* reserve(action.ranges);
  if (action.op === "release") {
    const { released } = yield* releaseIps([{ address: `10.0.0.${action.ordinal}`, handle: action.handle }]);
    return released.map(({ address }) => address);
  }
  if (action.op === "del") return (yield* releaseByHandle(action.handle)).map(({ address }) => address);
  const { handle: handleId, node } = action;
  const claimant = { handleId, node, attributes: { node }, now: 5n, pools: yield* listPools() };
  const assigned =
    action.op === "add"
      ? yield* autoAssign({ ...claimant, wanted: [{ family: 4, pools: [], count: action.count }] })
      : yield* assignAddresses({ ...claimant, addresses: [`10.0.0.${action.ordinal}`] });
  return assigned.map(({ address }) => address);
}

/** What the model becomes when the operation ended; judges its outcome. */
function after(model: Map<string, string>, outcome: Outcome, action: Action): Map<string, string> {
  const next = new Map(model);
  if (action.op === "give up" || action.op === "reserve") return next;
  if (action.op === "release") {
    const address = `10.0.0.${action.ordinal}`;
    expect(outcome).toEqual(model.get(address) === action.handle ? [address] : []);
    next.delete(model.get(address) === action.handle ? address : "");
    return next;
  }
  const before = [...model].filter(([, owner]) => owner === action.handle).map(([address]) => address);
  if (action.op === "del") {
    expect([...outcome].sort()).toEqual(before.sort());
    for (const address of before) next.delete(address);
    return next;
  }
  const wanted = action.op === "add" ? Math.max(action.count, before.length) : undefined;
  if (outcome === "full") {
    const usable = Array.from({ length: 16 }, (_, i) => `10.0.0.${i}`).filter(
      (one) => !isReserved(one) && !model.has(one),
    );
    expect(wanted ?? 0).toBeGreaterThan(usable.length + before.length);
    return next;
  }
  if (outcome === "taken") {
    expect(action.op === "ask" && model.get(`10.0.0.${action.ordinal}`)).not.toBe(action.handle);
    return next;
  }
  expect(outcome).toEqual(expect.arrayContaining(before));
  if (wanted !== undefined) expect(outcome).toHaveLength(wanted);
  for (const address of outcome) {
    expect([undefined, action.handle]).toContain(model.get(address));
    if (action.op === "add" && !before.includes(address)) expect(isReserved(address)).toBe(false);
    next.set(address, action.handle);
  }
  return next;
}

/** A killed operation may have been done in part, but only to its own handle's addresses. */
function afterKill(model: Map<string, string>, found: Map<string, string>, action: Action): Map<string, string> {
  const mine = "handle" in action ? action.handle : undefined;
  for (const [address, owner] of found) if (owner !== mine) expect(model.get(address)).toBe(owner);
  for (const [address, owner] of model) if (owner !== mine) expect(found.get(address)).toBe(owner);
  return found;
}

function* reserve(ranges: readonly string[]): Transaction<readonly string[]> {
  const before = yield* read({ kind: "IPReservation", name: "r" });
  const object = {
    apiVersion: "v1",
    kind: "IPReservation" as const,
    metadata: { name: "r" },
    spec: { reservedCIDRs: ranges },
  };
  if (before !== undefined) yield* update({ ...before, spec: object.spec });
  else yield* create(object);
  reserved = ranges;
  return [];
}

function isReserved(address: string): boolean {
  return reserved.some((range) => contains(range, address));
}

/** What kills left behind is found and mended, on both nodes, and no address with it: all count as seen. */
function mendAll(store: MemoryStore): void {
  for (const name of ["one", "two"]) {
    const look = (): Snapshot => ({
      node: name,
      takenAt: 0n,
      pools: drive(listPools(), store).pools,
      blocks: store.all("IPAMBlock"),
      handles: store.all("IPAMHandle"),
      affinities: store.all("BlockAffinity"),
      damaged: [],
      hasUnseen: false,
      endpoints: [],
      links: [],
      seen: [...owners(store).keys()].map((address) => ({ address, where: "eth0" })),
    });
    const fresh = look();
    const report = checkIpam(fresh);
    for (const problem of confirmed([report], report)) drive(mend(problem, report, fresh), store);
    expect(checkIpam(look()).problems).toEqual([]);
  }
}

function owners(store: MemoryStore): Map<string, string> {
  const found = new Map<string, string>();
  for (const { spec } of store.all<BlockSpec>("IPAMBlock")) {
    const base = Number.parseInt(spec.cidr.slice("10.0.0.".length), 10);
    for (const [ordinal, index] of spec.allocations.entries()) {
      if (index !== null) found.set(`10.0.0.${base + ordinal}`, attributeAt(spec, ordinal)?.handle_id ?? "");
    }
  }
  return new Map([...found].sort());
}

/** By the handle, as DEL and CHECK see it. */
function held(store: MemoryStore, handleId: string): readonly string[] {
  expect(store.all<HandleSpec>("IPAMHandle").some(({ spec }) => spec.handleID === handleId)).toBe(true);
  return addressesOf(drive(readHeld(handleId), store)).map(({ address }) => address);
}

/**
 * A random walk of ADDs, DELs, reservations and released blocks by two nodes on one store, next to a map of the addresses' owners: every datastore
 * must pass it. Processes are killed at any write, or do not learn that a write succeeded.
 */
import fc from "fast-check";
import { expect } from "vitest";
import { autoAssign } from "../../../src/ipam/assign/assign.ts";
import { assignAddresses } from "../../../src/ipam/assign/explicit.ts";
import { checkIpam } from "../../../src/ipam/check/check.ts";
import { confirmedProblems, repair } from "../../../src/ipam/check/repair.ts";
import type { Snapshot } from "../../../src/ipam/check/report.ts";
import { releaseBlock } from "../../../src/ipam/model/affinity.ts";
import { attributeAt, type BlockSpec } from "../../../src/ipam/model/block.ts";
import { addressesOf, readHandleContents } from "../../../src/ipam/model/handle-contents.ts";
import { blockAddress } from "../../../src/ipam/model/ordinal.ts";
import { listPools } from "../../../src/ipam/model/pool.ts";
import { NoAddressError } from "../../../src/ipam/no-address.ts";
import { releaseByHandle } from "../../../src/ipam/release/release.ts";
import { releaseIps } from "../../../src/ipam/release/release-ips.ts";
import { contains } from "../../../src/net/prefix.ts";
import type { Kind, StoredObject } from "../../../src/store/object.ts";
import { create, read, type Transaction, update } from "../../../src/store/transaction.ts";
import { AnswerLost } from "./ground.ts";
import { Killed } from "./memory-store.ts";

/** Three blocks of four addresses, two nodes, six handles: small enough for every kind of conflict. */
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
  /** The write at which the process is killed; most are not. */
  killAt: fc.option(fc.nat(8), { freq: 4 }),
});
type Action = typeof step extends fc.Arbitrary<infer Step extends { action: unknown }> ? Step["action"] : never;

/** Distant stores answer later. */
type Soon<T> = T | Promise<T>;

/** A store for the walk. */
export interface Ground {
  run<T>(transaction: () => Transaction<T>): Promise<T>;
  /** The fault of the write with this number, counted from 0; `undefined` ends the faults. */
  trouble(at: number | undefined): void;
  all<Spec>(kind: Kind): Soon<readonly StoredObject<Spec>[]>;
  put(kind: Kind, name: string, spec: unknown): Soon<void>;
}

export async function walk(makeGround: () => Soon<Ground>, numRuns: number): Promise<void> {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
      const ground = await makeGround();
      await ground.put("IPPool", "p", { cidr: "10.0.0.0/28", blockSize: 30 });
      let model = new Map<string, string>();
      reserved = [];
      for (const { action, killAt } of steps) {
        ground.trouble(killAt ?? undefined);
        const outcome = await run(ground, action);
        ground.trouble(undefined);
        model = outcome === "broken off" ? await afterTrouble(model, ground, action) : after(model, outcome, action);
        expect(await owners(ground)).toEqual(model);
        for (const [address, owner] of model) expect(await held(ground, owner)).toContain(address);
      }
      await repairAll(ground);
      expect(await owners(ground)).toEqual(model);
    }),
    { numRuns },
  );
}

/** The reservations at this step. */
let reserved: readonly string[] = [];

type Outcome = readonly string[] | "broken off" | "full" | "taken";

async function run(ground: Ground, action: Action): Promise<Outcome> {
  try {
    return await ground.run(() => transaction(action));
  } catch (error) {
    if (error instanceof Killed || error instanceof AnswerLost) return "broken off";
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
    const { released, errors } = yield* releaseIps([{ address: `10.0.0.${action.ordinal}`, handle: action.handle }]);
    const lost = errors.find((error) => error instanceof AnswerLost);
    if (lost !== undefined) throw lost;
    return released.map(({ address }) => address);
  }
  if (action.op === "del") return (yield* releaseByHandle(action.handle)).map(({ address }) => address);
  const { handle: handleId, node } = action;
  const assignArgs = { handleId, node, attributes: { node }, now: 5n, pools: yield* listPools() };
  const assigned =
    action.op === "add"
      ? yield* autoAssign({ ...assignArgs, wanted: [{ family: 4, pools: [], count: action.count }] })
      : yield* assignAddresses({ ...assignArgs, addresses: [`10.0.0.${action.ordinal}`] });
  return assigned.map(({ address }) => address);
}

/** Updates the model after the operation, and checks its outcome. */
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

/** An interrupted operation may have been executed partly, but only for its own handle's addresses. */
async function afterTrouble(model: Map<string, string>, ground: Ground, action: Action): Promise<Map<string, string>> {
  const found = await owners(ground);
  const [reservation] = await ground.all<{ readonly reservedCIDRs: readonly string[] }>("IPReservation");
  reserved = reservation?.spec.reservedCIDRs ?? [];
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

/** Finds and repairs leftovers on both nodes, but releases no address: all count as seen. */
async function repairAll(ground: Ground): Promise<void> {
  for (const name of ["one", "two"]) {
    const { pools } = await ground.run(() => listPools());
    const look = async (): Promise<Snapshot> => ({
      node: name,
      takenAt: 0n,
      pools,
      blocks: await ground.all("IPAMBlock"),
      handles: await ground.all("IPAMHandle"),
      affinities: await ground.all("BlockAffinity"),
      damaged: [],
      hasUnseen: false,
      reserved: [],
      endpoints: [],
      links: [],
      seen: [...(await owners(ground)).keys()].map((address) => ({ address, where: "eth0" })),
    });
    const fresh = await look();
    const report = checkIpam(fresh);
    for (const problem of confirmedProblems([report], report)) await ground.run(() => repair(problem, report, fresh));
    expect(checkIpam(await look()).problems).toEqual([]);
  }
}

/** By address, according to the blocks. */
export async function owners(ground: Pick<Ground, "all">): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const { spec } of await ground.all<BlockSpec>("IPAMBlock")) {
    for (const ordinal of spec.allocations.keys()) {
      const owner = attributeAt(spec, ordinal)?.handle_id;
      if (owner !== undefined && owner !== null) found.set(blockAddress(spec, ordinal), owner);
    }
  }
  return new Map([...found].sort());
}

/** By handle, as DEL and CHECK see it. */
async function held(ground: Ground, handleId: string): Promise<readonly string[]> {
  return addressesOf(await ground.run(() => readHandleContents(handleId))).map(({ address }) => address);
}

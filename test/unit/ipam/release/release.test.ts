import { beforeEach, describe, expect, test } from "vitest";
import { autoAssign } from "../../../../src/ipam/assign/assign.ts";
import { assignAddresses } from "../../../../src/ipam/assign/explicit.ts";
import type { BlockSpec } from "../../../../src/ipam/model/block.ts";
import type { HandleSpec } from "../../../../src/ipam/model/handle.ts";
import { listPools } from "../../../../src/ipam/model/pool.ts";
import { sequenceNumberOf } from "../../../../src/ipam/model/sequence-numbers.ts";
import { releaseByHandle } from "../../../../src/ipam/release/release.ts";
import { releaseIps } from "../../../../src/ipam/release/release-ips.ts";
import type { StoredObject } from "../../../../src/store/object.ts";
import { drive } from "../../../../src/store/transaction.ts";
import { type MemoryStore, memoryStore } from "../memory-store.ts";

/** One block of four addresses. */
let store: MemoryStore;
const start = 1_704_067_200n * 1_000_000_000n;
const second = 1_000_000_000n;

beforeEach(() => {
  store = memoryStore();
  put("IPPool", "p", { cidr: "10.0.0.0/30", blockSize: 30 });
});

describe("releaseIps()", () => {
  test("releases addresses with the right guards, and the handles that have nothing left", () => {
    add("a", 2);
    add("b");
    const [first] = spec().allocations.keys();
    const sequenceNumber = sequenceNumberOf(spec(), first ?? 0);
    const { released } = release([
      { address: "10.0.0.0", handle: "a", sequenceNumber },
      { address: "10.0.0.2", handle: "b" },
    ]);
    expect(released.map(({ address }) => address)).toEqual(["10.0.0.0", "10.0.0.2"]);
    expect(handles()).toEqual([["a", { "10.0.0.0/30": 1 }]]);
  });

  test("refuses a stale sequence number: the address was given to the same handle again", () => {
    add("a");
    const stale = sequenceNumberOf(spec(), 0);
    drive(releaseByHandle("a"), store);
    for (const handle of ["b", "c", "d", "a"]) add(handle);
    const { released, errors } = release([{ address: "10.0.0.0", handle: "a", sequenceNumber: stale }]);
    expect(released).toEqual([]);
    expect(errors.map(({ message }) => message)).toEqual([
      expect.stringContaining(`wanted the assignment with sequence number ${stale}, and it was assigned again with`),
    ]);
  });

  test("refuses another handle's address, and the whole block with it", () => {
    add("a");
    add("b");
    const { released, errors } = release([
      { address: "10.0.0.1", handle: "b" },
      { address: "10.0.0.0", handle: "b" },
    ]);
    expect(released).toEqual([]);
    expect(errors[0]?.message).toBe(
      `cannot release address 10.0.0.0: wanted that of handle "b", but it is of handle "a"`,
    );
    expect(spec().unallocated).toEqual([2, 3]);
  });

  test("counts an address that is requested twice once, and reports unassigned ones", () => {
    add("a");
    const { released, unallocated } = release([
      { address: "10.0.0.0" },
      { address: "10.0.0.0" },
      { address: "10.0.0.3" },
      { address: "192.0.2.1" },
    ]);
    expect(released.map(({ address }) => address)).toEqual(["10.0.0.0"]);
    expect(unallocated).toEqual(["192.0.2.1", "10.0.0.3"]);
    expect(spec().unallocated).toEqual([1, 2, 3, 0]);
  });

  test("finds the block of a pool that is gone", () => {
    add("a");
    store.objects.delete("IPPool/p");
    expect(release([{ address: "10.0.0.0" }]).released).toHaveLength(1);
  });
});

describe("releaseByHandle() with ipCooldownSeconds", () => {
  beforeEach(() => put("IPAMConfig", "default", { ipCooldownSeconds: 30 }));

  test("keeps a released address unused and unowned for that long", () => {
    for (const handle of ["a", "b", "c", "d"]) add(handle);
    drive(releaseByHandle("b", undefined, start), store);
    expect(spec().attributes).toContainEqual({ releasedAt: "2024-01-01T00:00:00.000Z" });
    expect(handles().map(([handle]) => handle)).toEqual(["a", "c", "d"]);
    expect(() => add("e", 1, start + 29n * second)).toThrow("No IPs available");
    expect(add("e", 1, start + 30n * second)).toEqual(["10.0.0.1"]);
    expect(JSON.stringify(spec().attributes)).not.toContain("releasedAt");
  });

  test("stands in the way of an address that is asked for by name, until then", () => {
    add("a");
    drive(releaseByHandle("a", undefined, start), store);
    expect(() => ask("b", "10.0.0.0", start + second)).toThrow("it was released less than 30 s ago");
    expect(ask("b", "10.0.0.0", start + 31n * second)).toEqual(["10.0.0.0"]);
  });

  test("ends when the setting goes", () => {
    for (const handle of ["a", "b", "c", "d"]) add(handle);
    drive(releaseByHandle("b", undefined, start), store);
    store.objects.delete("IPAMConfig/default");
    expect(add("e", 1, start + second)).toEqual(["10.0.0.1"]);
  });

  test("is not for addresses that are taken back unused", () => {
    add("a");
    drive(releaseByHandle("a"), store);
    expect(spec().unallocated).toEqual([1, 2, 3, 0]);
  });
});

describe("autoAssign() from pools with selectors", () => {
  test.each<[string, object, string | undefined, boolean]>([
    ["the node by its name", { nodeSelector: "kubernetes.io/hostname == 'node'" }, undefined, true],
    ["the node by a label of its object", { nodeSelector: "rack == 'r1'" }, undefined, true],
    ["another rack", { nodeSelector: "rack == 'r2'" }, undefined, false],
    ["the namespace by its name", { namespaceSelector: "kubernetes.io/metadata.name == 'web'" }, "web", true],
    ["the namespace by a label of its object", { namespaceSelector: "team in {'a'}" }, "web", true],
    ["another namespace", { namespaceSelector: "team == 'b'" }, "web", false],
    ["a namespace, and there is none", { namespaceSelector: "!has(team)" }, undefined, false],
  ])("that select %s", (_, selectors, namespace, gives) => {
    put("IPPool", "p", { cidr: "10.0.0.0/30", blockSize: 30, ...selectors });
    put("Node", "node", {}, { rack: "r1" });
    put("Namespace", "web", {}, { team: "a" });
    const attempt = () => add("a", 1, start, namespace);
    if (gives) expect(attempt()).toEqual(["10.0.0.0"]);
    else expect(attempt).toThrow('no configured Calico pools for node node: "p" selects others');
  });

  test("that cannot be read are refused by name", () => {
    put("IPPool", "p", { cidr: "10.0.0.0/30", blockSize: 30, nodeSelector: "rack = 'r1'" });
    expect(() => add("a")).toThrow("its spec.nodeSelector is \"rack = 'r1'\", want a selector: nothing begins at");
  });
});

function release(options: Parameters<typeof releaseIps>[0]) {
  return drive(releaseIps(options), store);
}

function add(handleId: string, count = 1, now = start, namespace?: string): readonly string[] {
  const attributes = namespace === undefined ? {} : { namespace };
  const pools = drive(listPools(), store);
  const wanted = [{ family: 4 as const, pools: [], count }];
  return drive(autoAssign({ handleId, node: "node", attributes, now, pools, wanted }), store).map(
    ({ address }) => address,
  );
}

function ask(handleId: string, address: string, now: bigint): readonly string[] {
  const pools = drive(listPools(), store);
  const assigned = drive(
    assignAddresses({ handleId, node: "node", attributes: {}, now, pools, addresses: [address] }),
    store,
  );
  return assigned.map((one) => one.address);
}

function spec(): BlockSpec {
  return store.all<BlockSpec>("IPAMBlock")[0]?.spec as BlockSpec;
}

function handles(): readonly (readonly [string, object])[] {
  return store.all<HandleSpec>("IPAMHandle").map((handle) => [handle.spec.handleID, handle.spec.block] as const);
}

function put(
  kind: StoredObject["kind"],
  name: string,
  object: unknown,
  labels?: Readonly<Record<string, string>>,
): void {
  const metadata = { name, resourceVersion: "1", ...(labels !== undefined && { labels }) };
  store.objects.set(`${kind}/${name}`, { apiVersion: "v1", kind, metadata, spec: object });
}

import { beforeEach, describe, expect, test } from "vitest";
import { autoAssign } from "../../../../src/ipam/assign/assign.ts";
import { assignAddresses } from "../../../../src/ipam/assign/explicit.ts";
import type { BlockSpec } from "../../../../src/ipam/model/block.ts";
import { type HandleSpec, handleIdOf, newHandle } from "../../../../src/ipam/model/handle.ts";
import { addressesOf, readHandleContents } from "../../../../src/ipam/model/handle-contents.ts";
import { listPools } from "../../../../src/ipam/model/pool.ts";
import { collect } from "../../../../src/ipam/release/gc.ts";
import { create, drive } from "../../../../src/store/transaction.ts";
import { type MemoryStore, memoryStore } from "../memory-store.ts";

/** Two nodes, each with attachments of one network, on one store. */
let store: MemoryStore;
const now = 1_704_067_200n * 1_000_000_000n;
const minute = 60_000_000_000n;

beforeEach(() => {
  store = memoryStore({ hints: false });
  store.put("IPPool", "p", { cidr: "10.0.0.0/28", blockSize: 30 });
});

describe("collect() of one node", () => {
  test("frees nothing of another node's, whose attachments it does not know", () => {
    for (const container of ["a1", "a2", "a3"]) add("a", container);
    const theirs = ["b1", "b2", "b3"].map((container) => add("b", container));
    expect(collected("a", ["a1"]).map(({ address }) => address)).toHaveLength(2);
    expect(["b1", "b2", "b3"].map(held)).toEqual(theirs);
    expect(held("a1")).toHaveLength(1);
    expect(["a2", "a3"].flatMap(held)).toEqual([]);
  });

  test("leaves what another node borrowed from its block, and frees what it borrowed itself", () => {
    add("a", "a1");
    add("b", "b1");
    const [ofA = "", ofB = ""] = ["a", "b"].map(freeAddressOf);
    ask("b", "b2", ofA);
    ask("a", "a2", ofB);
    expect(collected("a", ["a1"]).map(({ address }) => address)).toEqual([ofB]);
    expect(held("b2")).toEqual([ofA]);
  });

  test("takes the block's owner for an address without a node", () => {
    add("a", "a1", {});
    add("b", "b1", {});
    expect(collected("a", [])).toHaveLength(1);
    expect(held("b1")).toHaveLength(1);
  });

  test("leaves the handle of an ADD that has not written its block yet, and removes it if the block never follows", () => {
    add("a", "a1");
    const [cidr = ""] = store.all<BlockSpec>("IPAMBlock").map(({ spec }) => spec.cidr);
    const handle = newHandle(handleIdOf(attachment("a9")), { [cidr]: 1 });
    const creationTimestamp = "2024-01-01T00:00:00Z";
    drive(create({ ...handle, metadata: { ...handle.metadata, creationTimestamp } }), store);
    collected("a", ["a1"], now + minute / 2n);
    expect(handles()).toContain("net.a9");
    collected("a", ["a1"], now + 2n * minute);
    expect(handles()).not.toContain("net.a9");
  });

  test("leaves a handle without addresses that names another node's block, however old", () => {
    add("b", "b1");
    const [cidr = ""] = store.all<BlockSpec>("IPAMBlock").map(({ spec }) => spec.cidr);
    const handle = newHandle(handleIdOf(attachment("b9")), { [cidr]: 1 });
    const creationTimestamp = "2023-01-01T00:00:00Z";
    drive(create({ ...handle, metadata: { ...handle.metadata, creationTimestamp } }), store);
    collected("a", []);
    expect(handles()).toContain("net.b9");
  });
});

test("collect() of a store that is one node's frees what it held under an earlier name", () => {
  add("earlier", "a1");
  expect(collected(undefined, [])).toHaveLength(1);
});

function attachment(containerId: string) {
  return { network: "net", containerId, ifname: "eth0" };
}

function add(node: string, container: string, attributes: Readonly<Record<string, string>> = { node }) {
  const assignArgs = { handleId: handleIdOf(attachment(container)), node, attributes, now };
  const wanted = [{ family: 4 as const, pools: [], count: 1 }];
  const request = { ...assignArgs, wanted, pools: drive(listPools(), store) };
  return drive(autoAssign(request), store).map(({ address }) => address);
}

function ask(node: string, container: string, address: string): void {
  const assignArgs = { handleId: handleIdOf(attachment(container)), node, attributes: { node }, now };
  drive(assignAddresses({ ...assignArgs, addresses: [address], pools: drive(listPools(), store) }), store);
}

function freeAddressOf(node: string): string | undefined {
  const block = store.all<BlockSpec>("IPAMBlock").find(({ spec }) => spec.affinity === `host:${node}`);
  const base = Number.parseInt(block?.spec.cidr.slice("10.0.0.".length) ?? "", 10);
  return `10.0.0.${base + (block?.spec.unallocated[0] ?? 0)}`;
}

function collected(node: string | undefined, valid: readonly string[], at = now + 2n * minute) {
  const isValid = ({ containerId }: { readonly containerId: string }) => valid.includes(containerId);
  const { released, errors } = drive(collect({ network: "net", node, now: at, isValid }), store);
  expect(errors).toEqual([]);
  return released;
}

function held(container: string): readonly string[] {
  return addressesOf(drive(readHandleContents(handleIdOf(attachment(container))), store)).map(({ address }) => address);
}

function handles(): readonly string[] {
  return store.all<HandleSpec>("IPAMHandle").map(({ spec }) => spec.handleID);
}

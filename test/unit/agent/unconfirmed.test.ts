/** A plugin knows its addresses before the datastore does, and its last step confirms them. */
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { NodeStore } from "../../../src/agent/datastore/node-store.ts";
import { Endpoints } from "../../../src/agent/endpoints/endpoints.ts";
import { Addresses } from "../../../src/agent/ipam/addresses.ts";
import { Adds } from "../../../src/agent/ipam/adds.ts";
import { KeyedQueue } from "../../../src/agent/ipam/keyed-queue.ts";
import { Unconfirmed } from "../../../src/agent/ipam/unconfirmed.ts";
import { type Answerer, answer } from "../../../src/agent/socket/answer.ts";
import { autoAssign } from "../../../src/ipam/assign/assign.ts";
import type { BlockSpec } from "../../../src/ipam/model/block.ts";
import { listPools } from "../../../src/ipam/model/pool.ts";
import type { ResultMessage } from "../../../src/node-protocol/messages.ts";
import { driveAsync } from "../../../src/store/transaction.ts";
import { type MemoryDatastore, memoryDatastore } from "./memory-datastore.ts";

const common = { version: 1, nodename: "n1", deadlineMs: 5000 };
const facts = { hostInterface: "cali0", mac: "ee:ee:ee:ee:ee:ee", profiles: [] };

describe.each([
  ["etcd", true],
  ["Kubernetes", false],
])("confirmed later, over %s", (_name, writesTogether) => {
  let datastore: MemoryDatastore;
  let answerer: Answerer;
  let open: (() => void) | undefined;

  beforeEach(async () => {
    datastore = memoryDatastore({ writesTogether });
    datastore.memory.put("IPPool", "four", { cidr: "10.0.0.0/28", blockSize: 28 });
    datastore.memory.put("IPPool", "six", { cidr: "fd00::/124", blockSize: 124 });
    answerer = agent();
    // The node's blocks.
    await add("first", { isDual: true });
    await sleep(10);
  });
  afterEach(() => open?.());

  function agent(): Answerer {
    const adds = new Adds();
    const store = new NodeStore(datastore, "n1", undefined, () => adds.count());
    return {
      addresses: new Addresses(datastore, () => ({ seconds: 1, nanoseconds: 0 }), store),
      endpoints: new Endpoints(store, false),
      node: "n1",
      queue: new KeyedQueue(),
      ...{ adds, unconfirmed: new Unconfirmed(), records: undefined },
      settle: async () => {},
      heldBack: () => undefined,
      describeNode: () => ({ nodename: "n1", datastore: "etcdv3", notReady: [], networking: "none" }),
      onAnswer: () => undefined,
    };
  }

  async function ask(message: object): Promise<ResultMessage> {
    const reply = await answer(answerer, { text: JSON.stringify({ ...common, ...message }) });
    if ("error" in reply) throw Object.assign(new Error(reply.error.message), { kind: reply.error.kind });
    return reply.result;
  }

  const attachmentOf = (id: string) => ({ network: "net", containerID: id, ifname: "eth0" });

  async function assign(id: string, { isDual = false } = {}) {
    const wanted = (isDual ? [4, 6] : [4]).map((family) => ({ family, pools: [] }));
    const request = { attachment: attachmentOf(id), wanted, addresses: [], reserved: [], confirmsLater: true };
    const { addresses = [], isUnconfirmed = false, isNew } = await ask({ op: "assign", ...request });
    return { addresses: addresses.map(({ address }) => address), isUnconfirmed, isNew };
  }

  const confirm = (id: string, confirms: readonly string[]) =>
    ask({ op: "put-endpoint", attachment: attachmentOf(id), ...facts, addresses: [], confirms });

  async function add(id: string, options = {}): Promise<readonly string[]> {
    const { addresses, isUnconfirmed } = await assign(id, options);
    await ask({
      op: "put-endpoint",
      attachment: attachmentOf(id),
      ...facts,
      addresses: [],
      ...(isUnconfirmed && { confirms: addresses }),
    });
    return addresses;
  }

  function close(): void {
    datastore.gate = new Promise((resolve) => {
      open = resolve;
    });
  }

  const held = async (id: string) =>
    ((await ask({ op: "held", attachment: attachmentOf(id) })).addresses ?? []).map(({ address }) => address);

  /** An update of the node's block that the agent has not seen: another node borrows the address that is next. */
  async function borrow(id: string): Promise<void> {
    const pools = await driveAsync(listPools(), datastore.memory);
    const own = { handleId: id, node: "n2", attributes: {}, now: 0n, pools };
    await driveAsync(autoAssign({ ...own, wanted: [{ family: 4, pools: [], count: 1 }] }), datastore.memory);
  }

  test("the plugin is told at once, and confirmed when the datastore has the addresses", async () => {
    close();
    const told = await assign("a", { isDual: true });
    expect(told).toMatchObject({ isUnconfirmed: true, isNew: true });
    expect(told.addresses).toHaveLength(2);
    expect(await held("a")).toEqual([]);
    let isConfirmed = false;
    const confirming = confirm("a", told.addresses).then(() => {
      isConfirmed = true;
    });
    await sleep(20);
    expect(isConfirmed).toBe(false);
    open?.();
    await confirming;
    expect(await held("a")).toEqual(told.addresses);
  });

  test("the handle is never later than the block", async () => {
    const { requests } = datastore;
    requests.length = 0;
    await add("a");
    const writes = requests.filter((request) => /IPAM|together/.test(request) && !request.startsWith("read"));
    expect(writes).toEqual(writesTogether ? ["together 1"] : ["create IPAMHandle", "update IPAMBlock"]);
  });

  test("many at once get an address each", async () => {
    const ids = Array.from({ length: 14 }, (_, index) => `c${index}`);
    const given = (await Promise.all(ids.map((id) => add(id)))).flat();
    expect(new Set(given).size).toBe(14);
    const [block] = datastore.memory.all<BlockSpec>("IPAMBlock");
    expect(block?.spec.allocations.filter((one) => one !== null)).toHaveLength(15);
    expect(datastore.memory.all("IPAMHandle")).toHaveLength(15);
  });

  test("after another node's change of the block, the plugin keeps what it was told", async () => {
    close();
    const told = await assign("a");
    const [block] = datastore.memory.all<BlockSpec>("IPAMBlock");
    if (block === undefined) throw new Error("no block");
    datastore.memory.put("IPAMBlock", block.metadata.name, { ...block.spec, sequenceNumber: 99 });
    open?.();
    await confirm("a", told.addresses);
    expect(await held("a")).toEqual(told.addresses);
  });

  test("an address that another node took meanwhile is not confirmed, and its plugin's release leaves nothing", async () => {
    close();
    const told = await assign("a");
    await borrow("net.other");
    open?.();
    await expect(confirm("a", told.addresses)).rejects.toMatchObject({
      kind: "timeout",
      message: expect.stringContaining("another node was faster"),
    });
    expect(await ask({ op: "release", attachment: attachmentOf("a") })).toEqual({ addresses: [] });
    expect(
      datastore.memory
        .all("IPAMHandle")
        .map(({ metadata }) => metadata.name)
        .sort(),
    ).toEqual(["net.first", "net.other"]);
  });

  test("an agent that was restarted confirms what the datastore has, and nothing else", async () => {
    close();
    const lost = await assign("lost");
    answerer = agent();
    await expect(confirm("lost", lost.addresses)).rejects.toThrow("tortie-node was restarted before");
    open?.();
    answerer = agent();
    await sleep(20);
    const told = await assign("kept");
    await sleep(20);
    answerer = agent();
    await confirm("kept", told.addresses);
  });

  test("the datastore goes away: the plugin is not confirmed, and nothing stays in memory", async () => {
    close();
    const told = await assign("a");
    datastore.isAway = true;
    open?.();
    await expect(confirm("a", told.addresses)).rejects.toThrow("does not answer");
    datastore.isAway = false;
    await ask({ op: "release", attachment: attachmentOf("a") });
    expect(await add("b")).toHaveLength(1);
    expect(
      datastore.memory
        .all("IPAMHandle")
        .map(({ metadata }) => metadata.name)
        .sort(),
    ).toEqual(["net.b", "net.first"]);
  });

  test("an attachment that has addresses gets these, and waits for nothing", async () => {
    const given = await add("a");
    expect(await assign("a")).toEqual({ addresses: given, isUnconfirmed: false, isNew: false });
  });

  test("a release that comes before the confirmation releases what was told", async () => {
    close();
    const told = await assign("a");
    const releasing = ask({ op: "release", attachment: attachmentOf("a") });
    open?.();
    expect((await releasing).addresses).toMatchObject(told.addresses.map((address) => ({ address })));
    expect(datastore.memory.all("IPAMHandle")).toHaveLength(1);
  });
});

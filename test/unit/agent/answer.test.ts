import { beforeEach, describe, expect, test } from "vitest";
import { Endpoints } from "../../../src/agent/endpoints/endpoints.ts";
import { Addresses } from "../../../src/agent/ipam/addresses.ts";
import { Adds } from "../../../src/agent/ipam/adds.ts";
import { KeyedQueue } from "../../../src/agent/ipam/keyed-queue.ts";
import { Unconfirmed } from "../../../src/agent/ipam/unconfirmed.ts";
import { type Answered, answer } from "../../../src/agent/socket/answer.ts";
import type { Message, NodeStatusMessage, Reply, ResultMessage } from "../../../src/node-protocol/messages.ts";
import { type MemoryDatastore, memoryDatastore } from "./memory-datastore.ts";

const common = { version: 1, nodename: "n1", deadlineMs: 5000 };
const attachment = { network: "net", containerID: "a", ifname: "eth0" };
const assign = {
  ...common,
  op: "assign",
  attachment,
  wanted: [{ family: 4, pools: [] }],
  addresses: [],
  reserved: [],
} as const;

let datastore: MemoryDatastore;
let answered: Answered[];
let heldBack: string | undefined;
let queue: KeyedQueue;

beforeEach(() => {
  datastore = memoryDatastore();
  datastore.memory.put("IPPool", "four", { cidr: "10.0.0.0/28", blockSize: 30 });
  answered = [];
  heldBack = undefined;
  queue = new KeyedQueue();
});

function ask(message: Message | object | string, node: string | undefined = "n1"): Promise<Reply> {
  const addresses = new Addresses(datastore, () => ({ seconds: 1, nanoseconds: 0 }));
  const onAnswer = (one: Answered) => answered.push(one);
  const text = typeof message === "string" ? message : JSON.stringify(message);
  const endpoints = new Endpoints(datastore.store, true);
  const settle = async () => {};
  const records = undefined;
  const answerer = {
    addresses,
    endpoints,
    queue,
    adds: new Adds(),
    unconfirmed: new Unconfirmed(),
    records,
    settle,
    node,
    heldBack: () => heldBack,
    describeNode,
    onAnswer,
  };
  return answer(answerer, { text });
}

function describeNode(): NodeStatusMessage {
  return { nodename: "n1", datastore: "etcdv3", notReady: ["bgp: alone"], networking: "bird", bgp: [] };
}

describe("answer()", () => {
  test("assigns, tells what is held, and releases", async () => {
    const own = { version: 1, result: { addresses: [{ address: "10.0.0.0", block: "10.0.0.0/30" }] } };
    const given = await ask(assign);
    expect(given).toEqual({
      version: 1,
      result: {
        addresses: [{ address: expect.stringMatching(/^10\.0\.0\./), block: expect.stringMatching(/\/30$/) }],
        isNew: true,
        pools: [{ name: "four", cidr: "10.0.0.0/28", natOutgoing: false, disabled: false }],
      },
    });
    const { result } = given as { readonly result: ResultMessage };
    const held = { version: 1, result: { addresses: result.addresses } };
    expect(await ask({ ...common, op: "pools" })).toEqual({ version: 1, result: { pools: result.pools } });
    expect(await ask({ ...common, op: "held", attachment })).toEqual(held);
    expect(await ask({ ...common, op: "release", attachment })).toEqual(held);
    expect(await ask({ ...common, op: "release", attachment })).toEqual({ ...own, result: { addresses: [] } });
    expect(answered.map(({ op, error }) => [op, error])).toEqual(
      ["assign", "pools", "held", "release", "release"].map((op) => [op, undefined]),
    );
  });

  test("a release that comes while its attachment is being assigned to finds what was assigned", async () => {
    const [assigned, released] = await Promise.all([ask(assign), ask({ ...common, op: "release", attachment })]);
    expect(released).toMatchObject({ result: { addresses: (assigned as { result: ResultMessage }).result.addresses } });
    expect(datastore.memory.all("IPAMHandle")).toEqual([]);
  });

  test("collects what no attachment of the node holds", async () => {
    await ask(assign);
    await ask({ ...assign, attachment: { ...attachment, containerID: "b" } });
    const valid = [{ containerID: "b", ifname: "eth0" }];
    const collected = await ask({ ...common, op: "collect", network: "net", valid });
    expect(collected).toMatchObject({ result: { addresses: [{ block: expect.any(String) }] } });
    expect(datastore.memory.all("IPAMHandle").map(({ metadata }) => metadata.name)).toEqual(["net.b"]);
  });

  test("status says whether an assignment would find addresses", async () => {
    const status = { ...common, op: "status", wanted: [{ family: 4, pools: [] }] };
    expect(await ask(status)).toEqual({ version: 1, result: {} });
    expect(await ask({ ...status, wanted: [{ family: 6, pools: [] }] })).toMatchObject({
      error: {
        kind: "no-address",
        name: "NoAddressError",
        message: expect.stringContaining("no configured Calico pools"),
      },
    });
  });

  test("an error of the core is data", async () => {
    const named = { ...assign, addresses: ["10.9.9.9"] };
    expect(await ask(named)).toEqual({
      version: 1,
      error: { kind: "invalid", name: "InvalidRequest", message: expect.stringContaining("not in a configured pool") },
    });
    datastore.isAway = true;
    expect(await ask(assign)).toMatchObject({ error: { kind: "datastore", name: "StoreError" } });
  });

  test("another node's configuration is refused by name, unless requests name the node", async () => {
    const other = { ...assign, nodename: "n2" };
    expect(await ask(other)).toMatchObject({
      error: {
        kind: "invalid",
        message: expect.stringContaining('cannot serve node "n2": this tortie-node is of node "n1"'),
      },
    });
    const addresses = new Addresses(datastore, () => ({ seconds: 1, nanoseconds: 0 }));
    const endpoints = new Endpoints(datastore.store, true);
    const many = {
      addresses,
      endpoints,
      queue,
      adds: new Adds(),
      unconfirmed: new Unconfirmed(),
      records: undefined,
      settle: async () => {},
      node: undefined,
      heldBack: () => undefined,
      describeNode,
      onAnswer: () => undefined,
    };
    expect(await answer(many, { text: JSON.stringify(other) })).toMatchObject({ result: { addresses: [{}] } });
  });

  test("describes the node", async () => {
    expect(await ask({ ...common, op: "node" })).toEqual({ version: 1, result: { node: describeNode() } });
  });

  test("assigns nothing while writes are not allowed, but still releases", async () => {
    await ask(assign);
    heldBack = "it is being upgraded";
    expect(await ask(assign)).toMatchObject({ error: { kind: "timeout", message: "it is being upgraded" } });
    expect(await ask({ ...common, op: "release", attachment })).toMatchObject({ result: {} });
  });

  test.each([
    ["nonsense", "it is not JSON"],
    ["null", "its version is undefined; this tortie-node speaks version 1"],
    [{ ...assign, version: 2 }, "its version is 2; this tortie-node speaks version 1"],
    [{ ...common, op: "format" }, "op"],
    [{ ...assign, nodename: "N_1" }, "nodename: want the name of a node"],
    [{ ...assign, deadlineMs: 0 }, "deadlineMs"],
    [{ ...assign, attachment: { ...attachment, containerID: "a/b" } }, "attachment.containerID"],
    [{ ...assign, addresses: ["10.0.0"] }, "addresses.0: want an IP address"],
    [{ ...assign, wanted: [{ family: 5, pools: [] }] }, "wanted.0.family"],
  ] as const)("%j is no message: %s", async (message, reason) => {
    expect(await ask(message)).toMatchObject({ error: { kind: "invalid", message: expect.stringContaining(reason) } });
    expect(datastore.memory.all("IPAMHandle")).toEqual([]);
  });

  test("fields of a later release do no harm", async () => {
    expect(await ask({ ...assign, tomorrow: true })).toMatchObject({ result: { addresses: [{}] } });
  });
});

import { setTimeout as sleep } from "node:timers/promises";
import { beforeEach, describe, expect, test } from "vitest";
import { NodeStore } from "../../../src/agent/datastore/node-store.ts";
import { KeyedQueue } from "../../../src/agent/ipam/keyed-queue.ts";
import { Ages } from "../../../src/agent/leaks/ages.ts";
import { addIpamMetrics } from "../../../src/agent/leaks/ipam-metrics.ts";
import { LostNodes } from "../../../src/agent/leaks/lost-nodes.ts";
import { NodeLeaks } from "../../../src/agent/leaks/node-leaks.ts";
import { Records } from "../../../src/agent/leaks/records.ts";
import { Metrics } from "../../../src/agent/metrics.ts";
import { writeEndpoint } from "../../../src/endpoint/endpoint.ts";
import { autoAssign } from "../../../src/ipam/assign/assign.ts";
import type { BlockSpec } from "../../../src/ipam/model/block.ts";
import { decodePool, listPools } from "../../../src/ipam/model/pool.ts";
import type { Family } from "../../../src/net/address.ts";
import type { AsyncDatastore } from "../../../src/store/async-datastore.ts";
import { create } from "../../../src/store/transaction.ts";
import { FakeMachine, FakeSys } from "../../lib/fake/sys.ts";
import { type MemoryDatastore, memoryDatastore } from "./memory-datastore.ts";

const graceMs = 1000;
let datastore: MemoryDatastore;
let sys: FakeSys;
let nowMs: number;
let failures: string[];

beforeEach(() => {
  datastore = memoryDatastore();
  datastore.memory.put("IPPool", "four", { cidr: "10.0.0.0/26", blockSize: 28 });
  datastore.memory.put("IPPool", "six", { cidr: "fd00::/120", blockSize: 124 });
  for (const node of ["n1", "n2"]) datastore.memory.put("Node", node, {});
  sys = new FakeSys({ machine: new FakeMachine() });
  nowMs = 0;
  failures = [];
  recordOf("someone");
});

function recordOf(containerId: string): void {
  writeEndpoint(sys, {
    ...{ attachment: { network: "net", containerId, ifname: "eth0" }, node: "n1", pod: undefined },
    ...{ hostInterface: "cali0", mac: "ee:ee:ee:ee:ee:ee", addresses: [], netns: "" },
  });
}

const own = { interface: "eth0", node: "n1" };

async function assign(handleId: string, attributes: object = own, families: readonly Family[] = [4], node = "n1") {
  const assigned = await datastore.transact(function* () {
    const wanted = families.map((family) => ({ family, pools: [], count: 1 }));
    const common = { handleId, node, attributes: attributes as Readonly<Record<string, string>>, now: 1n };
    return yield* autoAssign({ ...common, pools: yield* listPools(), wanted });
  });
  return assigned.map(({ address }) => address);
}

function held(): number {
  const blocks = datastore.memory.all<BlockSpec>("IPAMBlock");
  return blocks.flatMap(({ spec }) => spec.allocations).filter((index) => index !== null).length;
}

const common = () => ({
  ...{ node: "n1", graceMs, maxGapMs: 3000, now: () => 1n, clockMs: () => nowMs },
  ...{ onReleased: () => undefined, onCleared: () => undefined },
  onFailure: (_: unknown, { message }: Error) => void failures.push(message),
});

async function nodeLeaks(isKubernetes = false): Promise<NodeLeaks> {
  const transactions = new NodeStore(datastore, "n1");
  await sleep(5);
  const [records, queue] = [new Records(sys), new KeyedQueue()];
  return new NodeLeaks({ ...common(), isKubernetes, fresh: datastore.store, transactions, records, queue });
}

/** Looks until the grace period is over. */
async function lookOn(leaks: { look(): Promise<void> }): Promise<void> {
  for (let looks = 0; looks < 3; looks++) {
    await leaks.look();
    nowMs += graceMs / 2;
  }
}

describe("NodeLeaks", () => {
  test("releases both families of a handle after the grace period, and not before", async () => {
    await assign("net.a", own, [4, 6]);
    const leaks = await nodeLeaks();
    await leaks.look();
    nowMs += graceMs - 1;
    await leaks.look();
    expect(leaks.candidates()).toHaveLength(1);
    expect(held()).toBe(2);
    nowMs += 1;
    await leaks.look();
    expect(held()).toBe(0);
    expect(datastore.memory.all("IPAMHandle")).toEqual([]);
  });

  test.each([
    ["the node's own", "vxlan-tunnel-addr-n1", { node: "n1", type: "vxlanTunnelAddress" }],
    ["another node's", "net.a", { interface: "eth0", node: "n2" }],
    ["one that Calico's plugin asked for", "net.a", { node: "n1" }],
    ["one with a record", "net.someone", own],
  ])("leaves %s alone", async (_, handle, attributes) => {
    await assign(handle, attributes);
    await lookOn(await nodeLeaks());
    expect(held()).toBe(1);
  });

  test("believes in missing records only where plugins write records", async () => {
    sys = new FakeSys({ machine: new FakeMachine() });
    await assign("net.a");
    await lookOn(await nodeLeaks());
    expect(held()).toBe(1);
  });

  test("believes after a reboot in the directory that it saw before", async () => {
    const machine = new FakeMachine();
    sys = new FakeSys({ machine });
    const boot = (id: string) =>
      sys.replaceFile("/proc/sys/kernel/random/boot_id", `${id}\n`, { mode: 0o444, durable: false });
    sys.makeDirs("/proc/sys/kernel/random", 0o755);
    boot("first");
    await assign("net.a");
    expect(new Records(sys).isEvidence()).toBe(false);
    sys.makeDirs("/run/tortie/endpoints", 0o700);
    expect(new Records(sys).isEvidence()).toBe(true);
    sys.removeDir("/run/tortie/endpoints");
    expect(new Records(sys).isEvidence(), "the directory was removed, but not by a reboot").toBe(false);
    boot("second");
    expect(new Records(sys).isEvidence()).toBe(true);
    await lookOn(await nodeLeaks());
    expect(held()).toBe(0);
  });

  test("an attachment that is used without a record counts as recorded until its release", () => {
    const records = new Records(sys);
    const elsewhere = { network: "net", containerId: "elsewhere", ifname: "eth0" };
    records.requireOwned(elsewhere);
    expect(records.has(elsewhere)).toBe(true);
    records.noteGone(elsewhere);
    expect(records.has(elsewhere)).toBe(false);
  });

  test("what a node borrowed from another is found too", async () => {
    datastore.memory.put("IPPool", "four", { cidr: "10.0.0.0/28", blockSize: 28 });
    await assign("net.b", { interface: "eth0", node: "n2" }, [4], "n2");
    await assign("net.a");
    const transactions = new NodeStore(datastore, "n1");
    await sleep(5);
    transactions.borrowed.add("10.0.0.0/28");
    const rest = { fresh: datastore.store, records: new Records(sys), queue: new KeyedQueue() };
    const leaks = new NodeLeaks({ ...common(), ...rest, isKubernetes: false, transactions });
    await leaks.look();
    expect(leaks.borrowed()).toHaveLength(1);
    await lookOn(leaks);
    expect(held()).toBe(1);
    await leaks.look();
    expect([...transactions.borrowed]).toEqual([]);
  });

  test.each([
    ["its present sandbox", { containerID: "a", ipNetworks: [] }, 1],
    ["its addresses", { containerID: "b", ipNetworks: ["ADDRESS/32"] }, 1],
    ["nothing yet", { containerID: "", ipNetworks: [] }, 1],
    ["another sandbox", { containerID: "b", ipNetworks: ["10.9.9.9/32"] }, 0],
    ["another node", { node: "n2", containerID: "a", ipNetworks: [] }, 0],
  ])("a pod that tells of %s", async (_, spec, left) => {
    const [address = ""] = await assign("net.a", { ...own, namespace: "ns", pod: "p" });
    const ipNetworks = spec.ipNetworks.map((text) => text.replace("ADDRESS", address));
    datastore.memory.put("WorkloadEndpoint", "n1-k8s-p-eth0", { node: "n1", ...spec, ipNetworks });
    await lookOn(await nodeLeaks(true));
    expect(held()).toBe(left);
    expect(failures).toEqual([]);
  });

  test("a record that appears just before the release saves the addresses", async () => {
    await assign("net.a");
    const leaks = await nodeLeaks();
    await leaks.look();
    nowMs += graceMs;
    const looking = leaks.look();
    recordOf("a");
    await looking;
    expect(held()).toBe(1);
  });
});

describe("LostNodes", () => {
  const lostNodes = (over: AsyncDatastore = datastore) =>
    new LostNodes({ ...common(), isKubernetes: false, datastore: over });

  test("releases all that a node had, and leaves what others hold in its blocks", async () => {
    await assign("net.a", { interface: "eth0", node: "n9" }, [4, 6], "n9");
    await assign("vxlan-tunnel-addr-n9", { node: "n9", type: "vxlanTunnelAddress" }, [4], "n9");
    await assign("net.b", { interface: "eth0", node: "n2" }, [4], "n9");
    await assign("net.c", { interface: "eth0", node: "n2" }, [4], "n2");
    await lookOn(lostNodes());
    expect(failures).toEqual([]);
    expect(datastore.memory.all("IPAMHandle").map(({ metadata }) => metadata.name)).toEqual(["net.b", "net.c"]);
    const affinities = datastore.memory.all<BlockSpec>("IPAMBlock").map(({ spec }) => spec.affinity);
    expect(affinities).toEqual([undefined, "host:n2"]);
    expect(datastore.memory.all<{ node: string }>("BlockAffinity").map(({ spec }) => spec.node)).toEqual(["n2"]);
  });

  test("does nothing where its own node is not listed", async () => {
    await assign("net.a", { interface: "eth0", node: "n9" }, [4], "n9");
    datastore.memory.objects.delete("Node/n1");
    await lookOn(lostNodes());
    expect(held()).toBe(1);
  });

  test("a node that comes back just before the release keeps everything", async () => {
    await assign("net.a", { interface: "eth0", node: "n9" }, [4], "n9");
    const lost = lostNodes({
      ...datastore,
      async visit(kind, visitor) {
        await datastore.visit(kind, visitor);
        if (kind === "Node" && nowMs >= graceMs) datastore.memory.put("Node", "n9", {});
      },
    });
    await lookOn(lost);
    expect(held()).toBe(1);
    expect(datastore.memory.all("BlockAffinity")).toHaveLength(1);
  });

  test("a handle without addresses goes, unless it was written meanwhile", async () => {
    const handle = (handleID: string, count: number) => ({
      ...({ apiVersion: "crd.projectcalico.org/v1", kind: "IPAMHandle", metadata: { name: handleID } } as const),
      spec: { handleID, block: { "10.0.0.0/28": count }, deleted: false },
    });
    await datastore.transact(() => create(handle("net.a", 1)));
    const lost = lostNodes();
    await lost.look();
    datastore.memory.put("IPAMHandle", "net.b", handle("net.b", 1).spec);
    nowMs += graceMs;
    await lost.look();
    expect(datastore.memory.all("IPAMHandle").map(({ metadata }) => metadata.name)).toEqual(["net.b"]);
  });
});

describe("Ages", () => {
  test("what was not looked at for long, or has changed, is new", () => {
    const ages = new Ages(100, () => nowMs);
    const look = (atMs: number, signature: string) => {
      nowMs = atMs;
      ages.look(new Map([["a", signature]]));
    };
    look(0, "x");
    look(50, "x");
    expect([ages.isOlder("a", 50), ages.isOlder("a", 51), ages.isOlder("b", 0)]).toEqual([true, false, false]);
    look(60, "y");
    expect(ages.isOlder("a", 1)).toBe(false);
    look(160, "y");
    expect(ages.isOlder("a", 100)).toBe(true);
    look(261, "y");
    expect(ages.isOlder("a", 1)).toBe(false);
  });
});

test("metrics of addresses have Calico's names", async () => {
  await assign("net.a");
  const metrics = new Metrics();
  const count = addIpamMetrics(metrics, {
    node: "n1",
    ownBlocks: () => datastore.memory.all<BlockSpec>("IPAMBlock") as never,
    pools: () => datastore.memory.all("IPPool").map((pool) => decodePool(pool as never)),
    borrowed: () => [],
    candidates: () => [],
    isElected: () => true,
  });
  count({ handleId: "net.a", addresses: [{ block: "10.0.0.0/28", node: "n1" }] as never });
  const lines = metrics.text().split("\n");
  expect(lines).toEqual(
    expect.arrayContaining([
      'ipam_blocks{ippool="four",node="n1"} 1',
      'ipam_allocations_in_use{ippool="four",node="n1"} 1',
      'ipam_ippool_size{ippool="four"} 64',
      'ipam_allocations_gc_reclamations{ippool="four",node="n1"} 1',
    ]),
  );
});

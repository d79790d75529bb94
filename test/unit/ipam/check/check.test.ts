import { beforeEach, describe, expect, test } from "vitest";
import { autoAssign } from "../../../../src/ipam/assign/assign.ts";
import { checkIpam } from "../../../../src/ipam/check/check.ts";
import { confirmedProblems, repair } from "../../../../src/ipam/check/repair.ts";
import type { Problem, SeenEndpoint, Snapshot } from "../../../../src/ipam/check/report.ts";
import type { Block, BlockSpec } from "../../../../src/ipam/model/block.ts";
import { handleIdOf } from "../../../../src/ipam/model/handle.ts";
import { listPools } from "../../../../src/ipam/model/pool.ts";
import { releaseByHandle } from "../../../../src/ipam/release/release.ts";
import type { StoredObject } from "../../../../src/store/object.ts";
import { drive } from "../../../../src/store/transaction.ts";
import { type MemoryStore, memoryStore } from "../memory-store.ts";

let store: MemoryStore;

beforeEach(() => {
  store = memoryStore();
  put("IPPool", "p", { cidr: "10.0.0.0/24", blockSize: 30 });
});

describe("checkIpam()", () => {
  test("finds nothing where every address has its sandbox", () => {
    add("a");
    add("b");
    expect(check({ endpoints: [endpoint("a"), endpoint("b")] }).problems).toEqual([]);
  });

  test.each<[string, Partial<Snapshot>, string, string]>([
    [
      "its address is seen",
      { seen: [{ address: "10.0.0.149", where: "eth0 in web" }] },
      "in use",
      "seen on eth0 in web",
    ],
    [
      "its link is there",
      { links: [{ name: "cali1", owner: "tortie:net/a/eth0" }] },
      "in use",
      "its host interface cali1 is there",
    ],
    ["its sandbox is there", { endpoints: [endpoint("a")] }, "in use", 'its sandbox "/run/netns/a" is there'],
    [
      "its sandbox is gone",
      { endpoints: [endpoint("a", false)] },
      "leaked",
      'its sandbox "/run/netns/a" is gone (whose endpoint records other addresses)',
    ],
    ["nothing is there", {}, "leaked", "it has no endpoint and no host interface"],
    [
      "it is young",
      { takenAt: 1_704_067_230n * 1_000_000_000n },
      "unchecked",
      "assigned less than a minute ago: its ADD may not have ended",
    ],
    ["it is another node's", { node: "other" }, "unchecked", "assigned on node node"],
  ])("checkIpam() of an address when %s", (_, facts, state, reason) => {
    add("a", 2);
    expect(check(facts).allocations.find(({ address }) => address === "10.0.0.149")).toMatchObject({
      handle: "net.a",
      owner: "default/a eth0",
      node: "node",
      state,
      reason,
    });
  });

  test("leaves a tunnel's address unchecked", () => {
    add("a");
    edit((spec) => ({
      ...spec,
      attributes: [{ handle_id: "vxlan-tunnel-addr-node", secondary: { node: "node", type: "vxlanTunnelAddress" } }],
    }));
    expect(check().allocations[0]).toMatchObject({ owner: "vxlanTunnelAddress of node", state: "unchecked" });
  });

  test("does not count an address that cools down as anybody's", () => {
    put("IPAMConfig", "default", { ipCooldownSeconds: 60 });
    add("a");
    drive(releaseByHandle("net.a", undefined, 1_704_067_200n * 1_000_000_000n), store);
    expect(check()).toEqual({ allocations: [], problems: [] });
  });

  test.each<[string, Problem["kind"], string, () => Partial<Snapshot> | undefined]>([
    [
      "address in use that no block records",
      "unknown address",
      "10.0.0.77",
      () => ({ seen: [{ address: "10.0.0.77", where: "eth0 in db" }] }),
    ],
    [
      "address of a sandbox that no block records",
      "unknown address",
      "10.0.0.150",
      () => ({ endpoints: [endpoint("a", true, ["10.0.0.148", "10.0.0.150"])] }),
    ],
    ["address whose pool is gone", "address outside pools", "10.0.0.148", () => void store.objects.delete("IPPool/p")],
    [
      "handle that has nothing",
      "leaked handle",
      "net.gone",
      () => put("IPAMHandle", "net.gone", { handleID: "net.gone", block: { "10.0.0.148/30": 1 } }),
    ],
    ["handle that is lost", "missing handle", "net.a", () => void store.objects.delete("IPAMHandle/net.a")],
    [
      "handle that does not name its block",
      "missing handle",
      "net.a",
      () => put("IPAMHandle", "net.a", { handleID: "net.a", block: {} }),
    ],
    [
      "handle that counts too many",
      "wrong handle count",
      "net.a",
      () => put("IPAMHandle", "net.a", { handleID: "net.a", block: { "10.0.0.148/30": 7 } }),
    ],
    [
      "affinity without its block",
      "stale affinity",
      "node-10-0-0-8-30",
      () => put("BlockAffinity", "node-10-0-0-8-30", { node: "node", cidr: "10.0.0.8/30", state: "pending" }),
    ],
    [
      "affinity left half-made",
      "stale affinity",
      "node-10-0-0-148-30",
      () => put("BlockAffinity", "node-10-0-0-148-30", { node: "node", cidr: "10.0.0.148/30", state: "pending" }),
    ],
    [
      "block without its affinity",
      "stale affinity",
      "node-10-0-0-148-30",
      () => void store.objects.delete("BlockAffinity/node-10-0-0-148-30"),
    ],
    [
      "ordinal free twice",
      "malformed block",
      "10-0-0-148-30",
      () => edit((spec) => ({ ...spec, unallocated: [1, 2, 2] })),
    ],
    [
      "attribute that nothing uses",
      "malformed block",
      "10-0-0-148-30",
      () => edit((spec) => ({ ...spec, attributes: [...spec.attributes, {}] })),
    ],
    [
      "index out of range",
      "malformed block",
      "10-0-0-148-30",
      () => edit((spec) => ({ ...spec, allocations: [0, 9, null, null] })),
    ],
    [
      "ordinal that is neither",
      "malformed block",
      "10-0-0-148-30",
      () => edit((spec) => ({ ...spec, unallocated: [1, 2] })),
    ],
    [
      "ordinal allocated and free",
      "malformed block",
      "10-0-0-148-30",
      () => edit((spec) => ({ ...spec, unallocated: [0, 1, 2, 3] })),
    ],
    [
      "release in the future",
      "malformed block",
      "10-0-0-148-30",
      () => edit((spec) => ({ ...spec, attributes: [{ releasedAt: "2999-01-01T00:00:00Z" }] })),
    ],
    [
      "block that is gone while an endpoint has an address of it",
      "missing block",
      "10.0.0.148/30",
      () => void store.objects.delete("IPAMBlock/10-0-0-148-30"),
    ],
    [
      "object that cannot be read",
      "damaged object",
      "IPAMHandle net.z",
      () => ({
        damaged: [{ object: { kind: "IPAMHandle", name: "net.z" }, reason: '"/run/z" is damaged: Unexpected end' }],
      }),
    ],
  ])("finds one %s, by name", (_, kind, subject, damage) => {
    add("a");
    const facts = { endpoints: [endpoint("a", true, ["10.0.0.148"])], ...damage() };
    const problem = { kind, subject, reason: expect.stringMatching(/./) };
    const isDamage = kind === "damaged object";
    expect(check(facts).problems.filter((found) => found.kind === kind)).toEqual([
      isDamage ? { ...problem, object: { kind: "IPAMHandle", name: "net.z" } } : problem,
    ]);
  });
});

describe("repair()", () => {
  test.each<[string, () => Partial<Snapshot> | undefined]>([
    ["leaked address", () => ({ endpoints: [] })],
    ["leaked handle", () => put("IPAMHandle", "net.gone", { handleID: "net.gone", block: { "10.0.0.148/30": 1 } })],
    ["missing handle", () => void store.objects.delete("IPAMHandle/net.a")],
    ["wrong handle count", () => put("IPAMHandle", "net.a", { handleID: "net.a", block: { "10.0.0.148/30": 7 } })],
    [
      "stale affinity",
      () => put("BlockAffinity", "node-10-0-0-8-30", { node: "node", cidr: "10.0.0.8/30", state: "pending" }),
    ],
    ["stale affinity", () => void store.objects.delete("BlockAffinity/node-10-0-0-148-30")],
    ["unknown address", () => ({ endpoints: [endpoint("a", true, ["10.0.0.148", "10.0.0.151"])] })],
    ["malformed block", () => edit((spec) => ({ ...spec, unallocated: [0, 2] }))],
    ["malformed block", () => edit((spec) => ({ ...spec, allocations: "gone" as never }))],
    ["missing block", () => void store.objects.delete("IPAMBlock/10-0-0-148-30")],
  ])("puts a %s right, after which nothing is found", (kind, damage) => {
    add("a");
    const facts = { endpoints: [endpoint("a", true, ["10.0.0.148"])], ...damage() };
    const report = check(facts);
    expect(report.problems.map((problem) => problem.kind)).toContain(kind);
    repairAll(facts);
    expect(check(facts).problems).toEqual([]);
  });

  test("releases an address only while it is the same assignment", () => {
    add("a");
    const old = check();
    drive(releaseByHandle("net.a"), store);
    for (const pod of ["b", "c", "d", "a"]) add(pod);
    expect(check().problems.map(({ subject }) => subject)).toContain("10.0.0.148");
    expect(confirmedProblems([old], check())).toEqual([]);
  });

  test("does not touch an address of a person's pools, nor one that only an interface shows", () => {
    add("a");
    const facts = { endpoints: [endpoint("a", true, ["10.0.0.148"])], seen: [{ address: "10.0.0.9", where: "eth0" }] };
    expect(repairAll(facts)).toEqual([undefined]);
  });
});

describe("repair() of a lost block", () => {
  test("keeps what endpoints show, withholds what handles claim, and a check frees that in the end", () => {
    for (const pod of ["a", "b"]) add(pod);
    edit(() => ({}) as BlockSpec);
    const facts = { endpoints: [endpoint("a", true, ["10.0.0.148"])] };
    repairAll(facts, ["malformed block"]);
    expect(store.aside.map(({ kind }) => kind)).toEqual(["IPAMBlock"]);
    expect(block().spec.unallocated).toEqual([]);
    expect(check(facts).allocations.map(({ handle }) => handle)).toEqual([
      "net.a",
      "set-aside-10-0-0-148-30",
      "set-aside-10-0-0-148-30",
      "set-aside-10-0-0-148-30",
    ]);
    expect(add("c")).toEqual(["10.0.0.152"]);
    drive(releaseByHandle("net.c"), store);
    repairAll(facts);
    expect(check(facts).problems).toEqual([]);
    expect(block().spec.unallocated).toHaveLength(3);
  });

  test("whose file is gone is one problem, and nobody gets an address of it before it is known whose that is", () => {
    for (const pod of ["a", "b"]) add(pod);
    store.objects.delete("IPAMBlock/10-0-0-148-30");
    const facts = {
      endpoints: [endpoint("a", true, ["10.0.0.148"])],
      seen: [{ address: "10.0.0.148", where: 'eth0 in "/run/netns/a"' }],
    };
    expect(check(facts).problems).toEqual([
      {
        kind: "missing block",
        subject: "10.0.0.148/30",
        reason: "has no block, but live endpoints have addresses of it: 10.0.0.148",
      },
    ]);
    expect(repairAll(facts)).toEqual([
      'rebuilt block 10.0.0.148/30: 1 address is known to be in use, 3 withheld for "net.b"',
    ]);
    expect(add("c")).toEqual(["10.0.0.152"]);
    drive(releaseByHandle("net.c"), store);
    repairAll(facts);
    expect(check(facts).problems).toEqual([]);
    expect(block().spec.unallocated).toHaveLength(3);
  });

  test("with its handle and affinity comes back from what the endpoint's record says", () => {
    add("a");
    for (const name of ["IPAMBlock/10-0-0-148-30", "IPAMHandle/net.a", "BlockAffinity/node-10-0-0-148-30"])
      store.objects.delete(name);
    const facts = { endpoints: [endpoint("a", true, ["10.0.0.148"])] };
    repairAll(facts);
    repairAll(facts);
    expect(check(facts).problems).toEqual([]);
    expect(block().spec.affinity).toBe("host:node");
    expect(add("a")).toEqual(["10.0.0.148"]);
  });

  test("that a block of another size overlaps is left to a person", () => {
    add("a");
    put("IPPool", "p", { cidr: "10.0.0.0/24", blockSize: 29 });
    const facts = { endpoints: [endpoint("a", true, ["10.0.0.148", "10.0.0.145"])] };
    expect(check(facts).problems.map(({ kind, subject }) => [kind, subject])).toEqual([
      ["unknown address", "10.0.0.145"],
    ]);
  });
});

function check(facts: Partial<Snapshot> = {}) {
  return checkIpam(snapshot(facts));
}

function repairAll(facts: Partial<Snapshot>, kinds?: readonly string[]) {
  const fresh = snapshot(facts);
  const report = checkIpam(fresh);
  const problems = confirmedProblems([report], report).filter(
    ({ kind }) => kinds === undefined || kinds.includes(kind),
  );
  return problems.map((problem) => drive(repair(problem, report, fresh), store));
}

function snapshot(facts: Partial<Snapshot>): Snapshot {
  return {
    node: "node",
    takenAt: 1_800_000_000n * 1_000_000_000n,
    pools: drive(listPools(), store).pools,
    blocks: store.all("IPAMBlock"),
    handles: store.all("IPAMHandle"),
    affinities: store.all("BlockAffinity"),
    damaged: [],
    endpoints: [],
    links: [],
    seen: [],
    hasUnseen: false,
    ...facts,
  };
}

function endpoint(pod: string, isThere = true, addresses: readonly string[] = []): SeenEndpoint {
  const attachment = { network: "net", containerId: pod, ifname: "eth0" };
  return {
    attachment,
    pod: { namespace: "default", name: pod },
    hostInterface: "cali1",
    addresses,
    netns: `/run/netns/${pod}`,
    sandbox: isThere ? "there" : "gone",
  };
}

function add(pod: string, count = 1): readonly string[] {
  const request = {
    handleId: handleIdOf({ network: "net", containerId: pod, ifname: "eth0" }),
    node: "node",
    attributes: {
      interface: "eth0",
      namespace: "default",
      node: "node",
      pod,
      timestamp: "2024-01-01 00:00:00 +0000 UTC",
    },
    now: 1_704_067_200n * 1_000_000_000n,
    pools: drive(listPools(), store),
    wanted: [{ family: 4 as const, pools: [], count }],
  };
  return drive(autoAssign(request), store).map(({ address }) => address);
}

function block(): Block {
  return store.objects.get("IPAMBlock/10-0-0-148-30") as Block;
}

/** Writes like a person with an editor: without any validation. */
function edit(change: (spec: BlockSpec) => BlockSpec): undefined {
  const before = block();
  store.objects.set("IPAMBlock/10-0-0-148-30", { ...before, spec: change(before.spec) });
}

function put(kind: StoredObject["kind"], name: string, spec: unknown): undefined {
  const metadata = { name, resourceVersion: "1" };
  store.objects.set(`${kind}/${name}`, { apiVersion: "v1", kind, metadata, spec });
}

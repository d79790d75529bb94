import { beforeEach, describe, expect, test } from "vitest";
import { type AssignRequest, autoAssign } from "../../../../src/ipam/assign/assign.ts";
import { assignAddresses } from "../../../../src/ipam/assign/explicit.ts";
import { hasFreeAddress } from "../../../../src/ipam/assign/free.ts";
import { releaseBlock } from "../../../../src/ipam/model/affinity.ts";
import type { AllocationAttribute, BlockSpec } from "../../../../src/ipam/model/block.ts";
import { ownerOfHandle } from "../../../../src/ipam/model/handle.ts";
import { decodePool, listPools } from "../../../../src/ipam/model/pool.ts";
import { collect } from "../../../../src/ipam/release/gc.ts";
import { releaseByHandle } from "../../../../src/ipam/release/release.ts";
import type { Kind, StoredObject } from "../../../../src/store/object.ts";
import { drive } from "../../../../src/store/transaction.ts";
import { diskFull, Killed, type MemoryStore, memoryStore } from "../memory-store.ts";

let store: MemoryStore;

beforeEach(() => {
  store = memoryStore();
});

describe("autoAssign()", () => {
  test("claims a block: affinity first, block second, handle before the address", () => {
    pool("v4", "10.0.0.0/24", 26);
    expect(add("net.a")).toHaveLength(1);
    expect(writes()).toEqual([
      "create BlockAffinity node-10-0-0-",
      "create IPAMBlock 10-0-0-",
      "update BlockAffinity node-10-0-0-",
      "create IPAMCursor node-10-0-0-0-24",
      "create IPAMHandle net.a",
      "update IPAMBlock 10-0-0-",
    ]);
    expect(store.all("BlockAffinity")[0]).toMatchObject({
      metadata: {
        labels: {
          "projectcalico.org/affinity-type": "host",
          "projectcalico.org/hostname-hash": "QMBW3VTZ74MU5WZ7NKSPILXVHVAUZQBXTQ3AJABEJ4DXFFQ4HMHQ",
          "projectcalico.org/ip-version": "4",
        },
      },
      spec: { node: "node", state: "confirmed", type: "host", deleted: "false" },
    });
    expect(store.all("IPAMHandle")[0]?.spec).toMatchObject({ handleID: "net.a", deleted: false });
  });

  test("gives a block's addresses in order, and a released one last", () => {
    pool("v4", "10.0.0.0/30", 30);
    expect([add("net.a"), add("net.b"), add("net.c")]).toEqual([["10.0.0.0"], ["10.0.0.1"], ["10.0.0.2"]]);
    del("net.a");
    expect([add("net.d"), add("net.e")]).toEqual([["10.0.0.3"], ["10.0.0.0"]]);
  });

  test("gives the same handle the same address again, and writes nothing for it", () => {
    pool("v4", "10.0.0.0/24", 26);
    const first = add("net.a");
    store.restart();
    expect(add("net.a")).toEqual(first);
    expect(writes()).toEqual([]);
  });

  test("gives both families or neither", () => {
    pool("v4", "10.0.0.0/24", 26);
    pool("v6", "fd00::/64", 122);
    expect(add("net.a", { families: [4, 6] }).map((address) => address.includes(":"))).toEqual([false, true]);
    pool("full", "10.1.0.0/32", 32);
    add("net.x", { pools: ["full"] });
    expect(() => add("net.b", { families: [6, 4], pools: ["v6"], pools4: ["full"] })).toThrow(
      "failed to request IPv4 addresses: Assigned 0 out of 1 requested IPv4 addresses; No IPs available in pools: [10.1.0.0/32]",
    );
    expect(held("net.b")).toEqual([]);
    expect(store.objects.has("IPAMHandle/net.b")).toBe(false);
  });

  test("asks a second family for a handle that has the first", () => {
    pool("v4", "10.0.0.0/24", 26);
    pool("v6", "fd00::/64", 122);
    const [v4] = add("net.a");
    expect(add("net.a", { families: [4, 6] })[0]).toBe(v4);
    expect(held("net.a")).toHaveLength(2);
  });

  test("spreads several addresses of one handle over blocks, or gives none", () => {
    pool("v4", "10.0.0.0/29", 30);
    expect(new Set(add("net.a", { count: 6 })).size).toBe(6);
    expect(() => add("net.b", { count: 3 })).toThrow("Assigned 2 out of 3");
    expect(add("net.c", { count: 2 })).toHaveLength(2);
  });

  test("skips reserved addresses, blocks and pools, and finds them when the reservation ends", () => {
    pool("v4", "10.0.0.0/28", 30);
    put("IPReservation", "r", { reservedCIDRs: ["10.0.0.0/29", "10.0.0.9/32", "10.0.0.12/30"] });
    expect(Array.from({ length: 3 }, (_, i) => add(`net.${i}`)).flat()).toEqual(["10.0.0.8", "10.0.0.10", "10.0.0.11"]);
    expect(() => add("net.x")).toThrow("No IPs available");
    store.objects.delete("IPReservation/r");
    const rest = Array.from({ length: 13 }, (_, i) => add(`net.y${i}`)).flat();
    expect(new Set(rest).size).toBe(13);
  });

  test("passes a reservation of 2^57 blocks in no time", () => {
    pool("v6", "fd00::/64", 122);
    put("IPReservation", "r", { reservedCIDRs: ["fd00::/65", "fd00::8000:0:0:0/66"] });
    expect(add("net.a", { families: [6] })[0]).toMatch(/^fd00::[c-f]/);
    put("IPReservation", "r2", { reservedCIDRs: ["fd00::/64"] });
    expect(() => add("net.b", { families: [6] })).toThrow("No IPs available");
  });

  test("takes requested pools by name and CIDR, in their order", () => {
    pool("a", "10.0.0.0/32", 32);
    pool("b", "10.1.0.0/32", 32);
    expect([add("net.a", { pools: ["10.1.0.0/32", "a"] }), add("net.b", { pools: ["10.1.0.0/32", "a"] })]).toEqual([
      ["10.1.0.0"],
      ["10.0.0.0"],
    ]);
  });

  test.each([
    [
      "unknown",
      ["nowhere"],
      {},
      'cannot use pool "nowhere": the given pool (nowhere) does not exist, or is not enabled; enabled IPv4 pools are "other" (10.9.0.0/24)',
    ],
    ["disabled", ["p"], { disabled: true }, "the given pool (p) does not exist, or is not enabled"],
    ["other family", ["fd00::/64"], {}, 'cannot use pool "fd00::/64" for IPv4: its cidr is fd00::/64'],
    ["other use", ["p"], { allowedUses: ["Tunnel"] }, 'no pools match the required use (Workload): "p" allows Tunnel'],
    ["makes no sense", ["p"], { blockSize: 33 }, "its spec.blockSize is 33, want 20 to 32"],
  ])("refuses a requested pool that cannot give: %s", (_, pools, change, message) => {
    pool("p", "10.0.0.0/24", 26, change);
    pool("other", "10.9.0.0/24", 26);
    pool("v6", "fd00::/64", 122);
    expect(() => add("net.a", { pools })).toThrow(message);
  });

  test.each([
    ["disabled", { disabled: true }],
    ["Manual", { assignmentMode: "Manual" }],
    ["for selected nodes", { nodeSelector: "rack == '1'" }],
    ["for selected namespaces", { namespaceSelector: "team == 'a'" }],
  ])("takes no address unasked from a pool that is %s", (_, change) => {
    pool("p", "10.0.0.0/24", 26, change);
    expect(() => add("net.a")).toThrow("no configured Calico pools for node node");
  });

  test("borrows from another node's block when its own pool is used up, unless affinity is strict", () => {
    pool("v4", "10.0.0.0/30", 30);
    expect(add("net.a", { node: "other" })).toEqual(["10.0.0.0"]);
    expect(add("net.b")).toEqual(["10.0.0.1"]);
    put("IPAMConfig", "default", { strictAffinity: true });
    expect(() => add("net.c")).toThrow("No more free affine blocks and strict affinity enabled");
    expect(add("net.d", { node: "other" })).toEqual(["10.0.0.2"]);
  });

  test("claims no more blocks than maxBlocksPerHost, per family", () => {
    pool("v4", "10.0.0.0/24", 30);
    pool("v6", "fd00::/64", 126);
    put("IPAMConfig", "default", { maxBlocksPerHost: 1 });
    for (let i = 0; i < 4; i++) add(`net.${i}`, { families: [4, 6] });
    expect(() => add("net.x")).toThrow(
      "Need to allocate an IPAM block but could not - limit of 1 blocks reached for this node",
    );
  });

  test("reads no full block, however many there are", () => {
    pool("v4", "10.0.0.0/20", 28);
    for (let i = 0; i < 40; i++) add(`net.${i}`);
    const early = requestsOf(() => add("net.early"));
    for (let i = 100; i < 1500; i++) add(`net.${i}`);
    const late = requestsOf(() => add("net.late"));
    expect(late.length).toBeLessThanOrEqual(early.length);
    expect(late.filter((request) => request.startsWith("read IPAMBlock"))).toHaveLength(1);
    expect(late.filter((request) => request === "list IPAMBlock" || request === "list IPAMHandle")).toEqual([]);
  });

  test("passes hundreds of blocks of other nodes with a few requests, and takes the only one that is left", () => {
    pool("v4", "10.0.0.0/22", 30);
    for (let i = 0; i < 255; i++) add(`net.${i}`, { node: `n${i}` });
    let given: string[] = [];
    const requests = requestsOf(() => {
      given = add("net.last");
    });
    expect(requests.length).toBeLessThan(60);
    expect(given).toHaveLength(1);
    expect(store.all<BlockSpec>("IPAMBlock").filter(({ spec }) => spec.affinity === "host:node")).toHaveLength(1);
    expect(store.all("BlockAffinity")).toHaveLength(256);
  });

  test("a claim that was not finished does not hide its block", () => {
    pool("v4", "10.0.0.0/27", 30);
    for (let i = 0; i < 7; i++) add(`net.${i}`, { node: `n${i}` });
    const left = Array.from({ length: 8 }, (_, at) => `10.0.0.${4 * at}/30`).find((cidr) => !isClaimed(cidr));
    put("BlockAffinity", `n9-${left?.replace(/[./]/g, "-")}`, {
      ...{ cidr: left, node: "n9", type: "host" },
      ...{ state: "pending", deleted: "false" },
    });
    expect(add("net.last")).toEqual([left?.replace("/30", "")]);
  });

  test("finds room again in blocks that were full, one read each", () => {
    pool("v4", "10.0.0.0/24", 30);
    for (let i = 0; i < 256; i++) add(`net.${i}`);
    for (let i = 0; i < 64; i++) del(`net.${i * 4}`);
    for (let i = 0; i < 64; i++) {
      const requests = requestsOf(() => add(`net.new${i}`));
      expect(requests.filter((request) => request.startsWith("read IPAMBlock"))).toHaveLength(1);
    }
    expect(store.all("IPAMOpenBlock")).toEqual([]);
    expect(() => add("net.x")).toThrow("No IPs available");
  });

  test.each(["IPAMCursor", "IPAMOpenBlock"] as const)("finds all addresses when every %s is lost", (kind) => {
    pool("v4", "10.0.0.0/27", 30);
    for (let i = 0; i < 32; i++) add(`net.${i}`);
    for (let i = 0; i < 32; i += 2) del(`net.${i}`);
    for (const key of [...store.objects.keys()]) if (key.startsWith(`${kind}/`)) store.objects.delete(key);
    for (let i = 0; i < 16; i++) add(`net.new${i}`);
    expect(() => add("net.x")).toThrow("No IPs available");
  });

  test("claims again what was given up", () => {
    pool("v4", "10.0.0.0/29", 30);
    for (let i = 0; i < 8; i++) add(`net.${i}`);
    for (let i = 0; i < 8; i++) del(`net.${i}`);
    for (const cidr of ["10.0.0.0/30", "10.0.0.4/30"]) drive(releaseBlock("node", cidr), store);
    expect(store.all("IPAMBlock")).toEqual([]);
    expect(store.all("BlockAffinity")).toEqual([]);
    for (let i = 0; i < 8; i++) add(`net.new${i}`);
    expect(() => add("net.x")).toThrow("No IPs available");
  });

  test("takes everything back when the store fails at any write", () => {
    for (let step = 0; ; step++) {
      store = memoryStore();
      pool("v4", "10.0.0.0/24", 26);
      pool("v6", "fd00::/64", 122);
      store.restart();
      let failed = false;
      store.beforeWrite = (index) => {
        if (index !== step) return;
        failed = true;
        diskFull();
      };
      try {
        add("net.a", { families: [4, 6] });
      } catch (error) {
        expect(String(error)).toContain("No space left on device");
      }
      if (!failed) break;
      expect(held("net.a")).toHaveLength(held("net.a").length === 2 ? 2 : 0);
      expect(store.objects.has("IPAMHandle/net.a")).toBe(held("net.a").length === 2);
    }
  });
});

describe("assignAddresses()", () => {
  test("gives the address, claims its block, and gives it the same handle again", () => {
    pool("v4", "10.0.0.0/24", 26);
    expect(ask("net.a", ["10.0.0.77"])).toEqual(["10.0.0.77"]);
    expect(ask("net.a", ["10.0.0.77"])).toEqual(["10.0.0.77"]);
    expect(store.all<BlockSpec>("IPAMBlock")[0]?.spec).toMatchObject({ cidr: "10.0.0.64/26", affinity: "host:node" });
  });

  test("gives a reserved address", () => {
    pool("v4", "10.0.0.0/24", 26);
    put("IPReservation", "r", { reservedCIDRs: ["10.0.0.0/24"] });
    expect(ask("net.a", ["10.0.0.77"])).toEqual(["10.0.0.77"]);
  });

  test("gives several, of both families and of one block, or none", () => {
    pool("v4", "10.0.0.0/24", 26);
    pool("v6", "fd00::/64", 122);
    expect(ask("net.a", ["10.0.0.1", "10.0.0.2", "fd00::5"])).toEqual(["10.0.0.1", "10.0.0.2", "fd00::5"]);
    expect(() => ask("net.b", ["10.0.0.3", "fd00::5"])).toThrow("Address already assigned in block fd00::/122");
    expect(held("net.b")).toEqual([]);
  });

  test.each([
    [
      "taken",
      "10.0.0.1",
      'cannot assign address 10.0.0.1: Address already assigned in block 10.0.0.0/26, to handle "net.a" (pod default/web)',
    ],
    [
      "outside",
      "10.1.0.1",
      'The provided IP address is not in a configured pool; configured are "tunnels" (10.8.0.0/24), "v4" (10.0.0.0/24)',
    ],
    [
      "other use",
      "10.8.0.1",
      'IP address 10.8.0.1 is in IP pool "tunnels", which is not allowed for use "Workload" (allowedUses: [Tunnel])',
    ],
  ])("refuses an address that is %s", (_, address, message) => {
    pool("v4", "10.0.0.0/24", 26);
    pool("tunnels", "10.8.0.0/24", 26, { allowedUses: ["Tunnel"] });
    pool("disabled", "10.1.0.0/24", 26, { disabled: true });
    ask("net.a", ["10.0.0.1"]);
    expect(() => ask("net.b", [address])).toThrow(message);
  });

  test("borrows from another node's block unless affinity is strict", () => {
    pool("v4", "10.0.0.0/24", 26);
    add("net.a", { node: "other", pools: ["v4"] });
    const [block] = store.all<BlockSpec>("IPAMBlock");
    const address = (block?.spec.cidr ?? "").replace(/\d+\/26$/, (end) => `${Number.parseInt(end, 10) + 9}`);
    expect(ask("net.b", [address])).toEqual([address]);
    put("IPAMConfig", "default", { strictAffinity: true });
    expect(() => ask("net.c", [address.replace(/9$/, "8")])).toThrow("Block host affinity does not match");
  });
});

describe("assignAddresses() from who may lose them", () => {
  const mayTakeOver = ({ handle_id }: AllocationAttribute) => handle_id === "net.old";

  test("takes one over in one write of its block, and a late release of the loser leaves it", () => {
    pool("v4", "10.0.0.0/24", 26);
    pool("v6", "fd00::/64", 122);
    ask("net.old", ["10.0.0.1", "10.0.0.2", "fd00::5"]);
    store.restart();
    expect(ask("net.new", ["10.0.0.1", "fd00::5"], mayTakeOver)).toEqual(["10.0.0.1", "fd00::5"]);
    expect(store.log.filter((line) => line.startsWith("update IPAMBlock"))).toHaveLength(2);
    expect(store.objects.get("IPAMHandle/net.old")?.spec).toMatchObject({ block: { "10.0.0.0/26": 1 } });
    expect(del("net.old")).toEqual(["10.0.0.2"]);
    expect(del("net.new")).toEqual(["10.0.0.1", "fd00::5"]);
    expect(store.all("IPAMHandle")).toEqual([]);
  });

  test("the loser's handle goes with its last address", () => {
    pool("v4", "10.0.0.0/24", 26);
    ask("net.old", ["10.0.0.1"]);
    ask("net.new", ["10.0.0.1"], mayTakeOver);
    expect(store.objects.has("IPAMHandle/net.old")).toBe(false);
    expect(del("net.old")).toEqual([]);
    expect(held("net.new")).toEqual([1]);
  });

  test("assigns nothing if one of several addresses belongs to another attachment", () => {
    pool("v4", "10.0.0.0/24", 26);
    ask("net.old", ["10.0.0.1"]);
    ask("net.other", ["10.0.0.2"]);
    expect(() => ask("net.new", ["10.0.0.1", "10.0.0.2"], mayTakeOver)).toThrow('to handle "net.other"');
    expect(held("net.old")).toEqual([1]);
    expect(store.objects.has("IPAMHandle/net.new")).toBe(false);
  });

  test("killed at any write leaves the address with one of the two, and who asks again has it", () => {
    for (let step = 0; ; step++) {
      store = memoryStore();
      pool("v4", "10.0.0.0/24", 26);
      ask("net.old", ["10.0.0.1"]);
      store.restart();
      store.beforeWrite = (index) => {
        if (index === step) throw new Killed();
      };
      let isDone = true;
      try {
        ask("net.new", ["10.0.0.1"], mayTakeOver);
      } catch (error) {
        if (!(error instanceof Killed)) throw error;
        isDone = false;
      }
      store.restart();
      expect([...held("net.old"), ...held("net.new")]).toEqual([1]);
      if (step % 2 === 0) del("net.old");
      expect(ask("net.new", ["10.0.0.1"], mayTakeOver)).toEqual(["10.0.0.1"]);
      del("net.old");
      expect(held("net.new")).toEqual([1]);
      del("net.new");
      expect(store.all("IPAMHandle")).toEqual([]);
      if (isDone) break;
      expect(step).toBeLessThan(10);
    }
  });

  test("distinguishes an address in cooldown from an assigned one", () => {
    pool("v4", "10.0.0.0/24", 26);
    put("IPAMConfig", "default", { ipCooldownSeconds: 60 });
    ask("net.old", ["10.0.0.1"]);
    drive(releaseByHandle("net.old", undefined, assignArgs("net.old").now), store);
    expect(() => ask("net.new", ["10.0.0.1"], mayTakeOver)).toThrow(
      'cannot assign address 10.0.0.1: it was released less than 60 s ago (ipCooldownSeconds of IPAMConfig "default")',
    );
  });
});

describe("releaseByHandle()", () => {
  test("is success when there is nothing", () => {
    expect(del("net.nobody")).toEqual([]);
  });

  test("removes a block that has no owner with its last address", () => {
    pool("v4", "10.0.0.0/24", 26);
    add("net.a");
    const [block] = store.all<BlockSpec>("IPAMBlock");
    drive(releaseBlock("node", block?.spec.cidr ?? ""), store);
    expect(store.all<BlockSpec>("IPAMBlock")[0]?.spec.affinity).toBeUndefined();
    expect(store.all("BlockAffinity")).toEqual([]);
    del("net.a");
    expect(store.all("IPAMBlock")).toEqual([]);
  });

  test("releases the rest when one block is damaged, and keeps that one in the handle", () => {
    pool("v4", "10.0.0.0/24", 26);
    pool("v6", "fd00::/64", 122);
    add("net.a", { families: [4, 6] });
    const v6 = store.all<BlockSpec>("IPAMBlock").find(({ spec }) => spec.cidr.includes(":"));
    const key = `IPAMBlock/${v6?.metadata.name}`;
    store.objects.set(key, { ...v6, spec: {} } as StoredObject);
    expect(() => del("net.a")).toThrow(`cannot use IPAMBlock "${v6?.metadata.name}"`);
    expect(store.all("IPAMHandle")[0]?.spec).toMatchObject({ block: { [v6?.spec.cidr ?? ""]: 1 } });
    store.objects.set(key, v6 as StoredObject);
    del("net.a");
    expect(store.all("IPAMHandle")).toEqual([]);
  });
});

describe("collect()", () => {
  test("releases what belongs to no valid attachment of this network, and nothing else", () => {
    pool("v4", "10.0.0.0/24", 26);
    for (const handle of ["net.live", "net.gone", "net/gone/net1", "net.x.gone", "other.gone", "vxlan-tunnel-addr-n"]) {
      add(handle);
    }
    const { released, errors } = drive(
      collect({ network: "net", node: undefined, now: 0n, isValid: ({ containerId }) => containerId === "live" }),
      store,
    );
    expect(released).toHaveLength(2);
    expect(errors).toEqual([]);
    const left = store.all<{ handleID: string }>("IPAMHandle").map(({ spec }) => spec.handleID);
    expect(left.sort()).toEqual(["net.live", "net.x.gone", "other.gone", "vxlan-tunnel-addr-n"]);
    expect(ownerOfHandle("net.x.gone")?.network).toBe("net.x");
  });
});

describe("hasFreeAddress()", () => {
  test("is true until the last address is gone", () => {
    pool("v4", "10.0.0.0/29", 30);
    for (let i = 0; i < 8; i++) {
      expect(isFree()).toBe(true);
      add(`net.${i}`);
    }
    expect(isFree()).toBe(false);
    del("net.3");
    expect(isFree()).toBe(true);
  });

  function isFree(): boolean {
    const [object] = store.all("IPPool");
    return drive(hasFreeAddress("node", decodePool(object as StoredObject), 1n), store);
  }
});

interface Options {
  readonly node?: string;
  readonly families?: readonly (4 | 6)[];
  readonly pools?: readonly string[];
  readonly pools4?: readonly string[];
  readonly count?: number;
}

function assignArgs(handleId: string, node = "node") {
  return {
    handleId,
    node,
    attributes: { node, namespace: "default", pod: "web" },
    now: 1690113884806720472n,
    pools: drive(listPools(), store),
  };
}

function add(
  handleId: string,
  { node, families = [4], pools = [], pools4 = pools, count = 1 }: Options = {},
): string[] {
  const wanted = families.map((family) => ({ family, pools: family === 4 ? pools4 : pools, count }));
  const request: AssignRequest = { ...assignArgs(handleId, node), wanted };
  return drive(autoAssign(request), store).map(({ address }) => address);
}

function ask(
  handleId: string,
  addresses: readonly string[],
  mayTakeOver: (holder: AllocationAttribute) => boolean = () => false,
): string[] {
  const request = { ...assignArgs(handleId), addresses, mayTakeOver };
  return drive(assignAddresses(request), store).map(({ address }) => address);
}

function del(handleId: string): string[] {
  return drive(releaseByHandle(handleId), store).map(({ address }) => address);
}

function put(kind: Kind, name: string, spec: unknown): void {
  store.put(kind, name, spec);
}

function pool(name: string, cidr: string, blockSize: number, change: object = {}): void {
  put("IPPool", name, { cidr, blockSize, ...change });
}

/** The handle's ordinals, according to the blocks. */
function held(handleId: string): number[] {
  return store.all<BlockSpec>("IPAMBlock").flatMap(({ spec }) => {
    const index = spec.attributes.findIndex((attribute) => (attribute as AllocationAttribute).handle_id === handleId);
    return [...spec.allocations.keys()].filter((ordinal) => spec.allocations[ordinal] === index);
  });
}

/** The writes since the last restart, without the block's place in the pool. */
function writes(): string[] {
  const all = store.log.filter((request) => !/^(read|list)/.test(request));
  return all.map((request) => request.replace(/\d+-26$/, ""));
}

function isClaimed(cidr: string): boolean {
  return store.all<BlockSpec>("IPAMBlock").some(({ spec }) => spec.cidr === cidr);
}

function requestsOf(action: () => void): string[] {
  store.log.length = 0;
  action();
  return [...store.log];
}

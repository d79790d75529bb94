import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { storeLock, withFileStore } from "../../../../src/store/file/lock.ts";
import { fileStore } from "../../../../src/store/file/store.ts";
import type { Kind, StoredObject } from "../../../../src/store/object.ts";
import { forShown } from "../../../../src/store/shown-kinds.ts";
import type { StoreError } from "../../../../src/store/store-error.ts";
import { create, drive, list, read, remove, update } from "../../../../src/store/transaction.ts";
import { FakeMachine, FakeSys } from "../../../lib/fake/sys.ts";

const handles = "/run/tortie/ipam/handles";

describe("fileStore()", () => {
  test("writes one file per object, one line per key, with a revision", () => {
    const { sys, store } = fresh();
    drive(create(object("IPAMHandle", "net.a", { handleID: "net.a", block: { "10.0.0.0/26": 1 } })), store);
    expect(sys.readFile(`${handles}/net.a.json`)).toBe(`{
"apiVersion": "v1",
"kind": "IPAMHandle",
"metadata": {"name":"net.a","creationTimestamp":"2024-01-01T00:00:00Z","resourceVersion":"1704067200000000000"},
"spec": {
  "handleID": "net.a",
  "block": {"10.0.0.0/26":1}
}
}
`);
  });

  test.each<[Kind, string]>([
    ["IPPool", "/var/lib/tortie/ippools/x.json"],
    ["IPReservation", "/var/lib/tortie/ipreservations/x.json"],
    ["IPAMConfig", "/var/lib/tortie/ipamconfigs/x.json"],
    ["IPAMBlock", "/run/tortie/ipam/blocks/x.json"],
    ["BlockAffinity", "/run/tortie/ipam/affinities/x.json"],
    ["IPAMHandle", "/run/tortie/ipam/handles/x.json"],
  ])("keeps %s in %s", (kind, path) => {
    const { sys, store } = fresh();
    drive(create(object(kind, "x", { a: 1 })), store);
    expect(sys.stat(path)?.kind).toBe("file");
    expect(drive(read({ kind, name: "x" }), store)?.spec).toMatchObject({ a: 1 });
  });

  test("keeps Calico's block as it is but for the revision, sequence numbers exact", () => {
    const { sys, store } = fresh();
    const text = readFileSync("test/fixtures/ipamblock-192-168-185-0-26.after.json", "utf8");
    const path = "/run/tortie/ipam/blocks/192-168-185-0-26.json";
    sys.makeDirs("/run/tortie/ipam/blocks", 0o755);
    sys.createFile(path, text, 0o644);
    const block = drive(read({ kind: "IPAMBlock", name: "192-168-185-0-26" }), store) as StoredObject;
    drive(update(block), store);
    const written = sys.readFile(path);
    expect(compact(written)).toBe(compact(text).replace('"resourceVersion":"6653"', '"resourceVersion":"6654"'));
    expect(written).toContain('"sequenceNumber": 1690113884806720498');
  });

  test.each(["../../../etc/passwd", "a/b", ".", "Großer Name", `${"n".repeat(230)}.x`, "%2e%2e"])(
    "finds, lists and removes an object named %j inside its directory",
    (name) => {
      const { sys, store } = fresh();
      const created = drive(create(object("IPAMHandle", name, {})), store);
      expect(sys.listDir(handles)).toHaveLength(1);
      expect(drive(list("IPAMHandle"), store).map(({ metadata }) => metadata.name)).toEqual([name]);
      expect(drive(remove(created as StoredObject), store)).toBe(true);
      expect(sys.listDir(handles)).toEqual([]);
    },
  );

  test.each(["IPAMHandle", "IPPool"] as const)("lets nobody but root read %s", (kind) => {
    const { sys, store } = fresh();
    const created = drive(create(object(kind, "x", {})), store) as StoredObject;
    const directory = kind === "IPPool" ? "/var/lib/tortie/ippools" : handles;
    drive(update(created), store);
    expect(
      [directory.replace(/\/[^/]*$/, ""), directory, `${directory}/x.json`].map((path) => sys.stat(path)?.mode),
    ).toEqual([0o700, 0o700, 0o600]);
  });

  test("lists in the order of names, and nothing where there is no directory", () => {
    const { store } = fresh();
    expect(drive(list("IPPool"), store)).toEqual([]);
    for (const name of ["b", "a", "c"]) drive(create(object("IPPool", name, {})), store);
    expect(drive(list("IPPool"), store).map(({ metadata }) => metadata.name)).toEqual(["a", "b", "c"]);
  });

  test.each(["IPAMHandle", "IPPool"] as const)("create() of a name that is taken is a conflict: %s", (kind) => {
    const { store } = fresh();
    expect(drive(create(object(kind, "x", { a: 1 })), store)).toBeDefined();
    expect(drive(create(object(kind, "x", { a: 2 })), store)).toBeUndefined();
    expect(drive(read({ kind, name: "x" }), store)?.spec).toMatchObject({ a: 1 });
  });

  test("update() and remove() with a revision that is not the stored one are conflicts", () => {
    const { machine, store } = fresh();
    const first = drive(create(object("IPAMHandle", "x", { a: 1 })), store) as StoredObject;
    const second = drive(
      update({ ...first, spec: { ...specs.IPAMHandle, a: 2 } }),
      fileStore(new FakeSys({ machine })),
    );
    expect(second?.metadata.resourceVersion).not.toBe(first.metadata.resourceVersion);
    expect(drive(update({ ...first, spec: { ...specs.IPAMHandle, a: 3 } }), store)).toBeUndefined();
    expect(drive(remove(first), store)).toBe(false);
    expect(drive(read({ kind: "IPAMHandle", name: "x" }), store)?.spec).toMatchObject({ a: 2 });
    expect(drive(remove(second as StoredObject), store)).toBe(true);
    expect(drive(update({ ...first, spec: { ...specs.IPAMHandle, a: 3 } }), store)).toBeUndefined();
  });

  test("a write between this store's read and its write is seen", () => {
    const { machine, store } = fresh();
    drive(create(object("IPAMHandle", "x", { a: 1 })), store);
    const mine = drive(read({ kind: "IPAMHandle", name: "x" }), store) as StoredObject;
    drive(update({ ...mine, spec: { ...specs.IPAMHandle, a: 2 } }), fileStore(new FakeSys({ machine })));
    expect(drive(update({ ...mine, spec: { ...specs.IPAMHandle, a: 3 } }), store)).toBeUndefined();
  });

  test("a name that is used again has another revision", () => {
    const { machine, store } = fresh();
    const first = drive(create(object("IPAMHandle", "x", {})), store) as StoredObject;
    drive(remove(first), store);
    machine.nowMs += 1;
    drive(create(object("IPAMHandle", "x", {})), store);
    expect(drive(remove(first), store)).toBe(false);
  });

  test.each([
    ["empty", "", "Unexpected end of JSON input"],
    ["torn", '{"kind":"IPAMHandle","metadata":{"na', "JSON"],
    ["another kind", '{"kind":"IPPool"}', 'its kind is "IPPool"'],
    ["another name", '{"kind":"IPAMHandle","metadata":{"name":"y"}}', 'its metadata.name is "y"'],
    ["without spec", '{"kind":"IPAMHandle","metadata":{"name":"x"}}', "it has no spec"],
    ["no object", "null", "it is not a JSON object"],
  ])("names a damaged object and goes on with the others: %s", (_, text, reason) => {
    const { sys, machine } = fresh();
    const left: StoreError[] = [];
    const store = fileStore(sys, { onDamaged: (error) => left.push(error) });
    drive(create(object("IPAMHandle", "a", {})), store);
    machine.files.create(`${handles}/x.json`, text, 0o644);
    const message = `cannot read IPAMHandle "x": "${handles}/x.json" is damaged: `;
    expect(() => drive(read({ kind: "IPAMHandle", name: "x" }), store)).toThrow(message);
    expect(() => drive(read({ kind: "IPAMHandle", name: "x" }), store)).toThrow(reason);
    expect(drive(list("IPAMHandle"), store)).toHaveLength(1);
    expect(left.map(({ message: text }) => text.startsWith(message))).toEqual([true]);
  });

  test("says which object could not be written, and why", () => {
    const { sys, store } = fresh();
    const created = drive(create(object("IPAMHandle", "x", {})), store) as StoredObject;
    sys.replaceFile = () => {
      throw Object.assign(new Error("open x: No space left on device"), { code: "ENOSPC" });
    };
    expect(() => drive(update(created), store)).toThrow(
      expect.objectContaining({
        kind: "datastore",
        message: 'cannot write IPAMHandle "x": open x: No space left on device',
      }),
    );
  });
});

describe("withFileStore()", () => {
  test("holds the lock around the body and frees it, whatever happens", () => {
    const { sys, machine } = fresh();
    const failing = () =>
      withFileStore(sys, {}, () => {
        expect(machine.locks.get(storeLock)?.holders).toBe(1);
        throw new Error("bug");
      });
    expect(failing).toThrow("bug");
    expect(machine.locks.get(storeLock)?.holders ?? 0).toBe(0);
  });

  test("takes an outer lock first", () => {
    const { sys, machine } = fresh();
    withFileStore(sys, { outerLock: "/var/run/calico/ipam.lock" }, () => {
      expect(machine.locks.get("/var/run/calico/ipam.lock")?.holders).toBe(1);
    });
    expect(machine.locks.get("/var/run/calico/ipam.lock")?.holders ?? 0).toBe(0);
  });

  test("gives up after its time with code 11, naming the lock", () => {
    const { sys, machine } = fresh();
    withFileStore(sys, {}, () => {
      const other = new FakeSys({ machine });
      expect(() => withFileStore(other, { timeoutMs: 5000 }, () => undefined)).toThrow(
        expect.objectContaining({
          kind: "timeout",
          message: `cannot lock the datastore: "${storeLock}" is held by another process and was not free within 5 s`,
        }),
      );
    });
  });
});

function fresh() {
  const machine = new FakeMachine();
  const sys = new FakeSys({ machine });
  return { machine, sys, store: fileStore(sys) };
}

/** The required fields of each kind. */
const specs: Readonly<Record<Kind, object>> = {
  ...forShown({}),
  IPPool: { cidr: "10.0.0.0/16" },
  IPReservation: { reservedCIDRs: [] },
  IPAMConfig: {},
  Node: {},
  Namespace: {},
  Service: {},
  EndpointSlice: {},
  Profile: {},
  WorkloadEndpoint: { orchestrator: "k8s", node: "n", pod: "p", endpoint: "eth0" },
  ClusterInformation: {},
  FelixConfiguration: {},
  BGPConfiguration: {},
  BGPPeer: {},
  BGPFilter: {},
  IPAMBlock: { cidr: "10.0.0.0/26", allocations: [], unallocated: [], attributes: [], sequenceNumber: 1 },
  BlockAffinity: { cidr: "10.0.0.0/26", node: "n", state: "confirmed", deleted: "false" },
  IPAMHandle: { handleID: "x", block: {} },
};

function object(kind: Kind, name: string, spec: object): StoredObject {
  return { apiVersion: "v1", kind, metadata: { name }, spec: { ...specs[kind], ...spec } };
}

/** Without white space outside of strings. */
function compact(text: string): string {
  return text.replace(/("(?:[^"\\]|\\.)*")|\s+/g, "$1");
}

import { beforeEach, describe, expect, test } from "vitest";
import { sharingWatches } from "../../../src/agent/datastore/shared.ts";
import type { AsyncDatastore, Watcher } from "../../../src/store/async-datastore.ts";
import type { Filter } from "../../../src/store/filter.ts";
import type { Kind, StoredObject } from "../../../src/store/object.ts";
import { nameOf } from "../../../src/store/object-name.ts";
import { memoryDatastore } from "./memory-datastore.ts";

interface Opened {
  readonly kind: Kind;
  readonly filter: Filter;
  readonly watcher: Watcher;
  isClosed: boolean;
}

const blockOf = (cidr: string, node: string): StoredObject => ({
  ...{ apiVersion: "projectcalico.org/v3", kind: "IPAMBlock", metadata: { name: cidr } },
  spec: { cidr, affinity: `host:${node}` },
});
const own = blockOf("10.0.0.0/26", "node-a");
const other = blockOf("10.0.0.64/26", "node-b");

let opened: Opened[];
let datastore: AsyncDatastore;

beforeEach(() => {
  opened = [];
  datastore = sharingWatches({
    ...memoryDatastore(),
    follow(kind, watcher, filter = {}) {
      const one = { kind, filter, watcher, isClosed: false };
      opened.push(one);
      return {
        close() {
          one.isClosed = true;
        },
      };
    },
  });
});

/** What it is told: the names after `all`, or the change. */
function member(filter?: Filter) {
  const told: string[] = [];
  const watcher: Watcher = {
    all: (objects) => told.push(`all ${objects.map(({ metadata }) => metadata.name)}`),
    set: ({ metadata }) => told.push(`set ${metadata.name}`),
    gone: (key) => told.push(`gone ${nameOf(key)}`),
    trouble: () => told.push("trouble"),
  };
  return { told, ...datastore.follow("IPAMBlock", watcher, filter) };
}

const opening = () => new Promise((resolve) => setImmediate(resolve));

describe("watches that begin together", () => {
  test("are one, of which each is told what its own filter matches", async () => {
    const [narrow, wide] = [member({ node: "node-a" }), member()];
    await opening();
    expect(opened).toMatchObject([{ kind: "IPAMBlock", filter: {} }]);
    opened[0]?.watcher.all([own, other]);
    opened[0]?.watcher.set(other);
    opened[0]?.watcher.set(own);
    opened[0]?.watcher.gone({ kind: "IPAMBlock", cidr: "10.0.0.0/26" });
    expect(narrow.told).toEqual(["all 10.0.0.0/26", "gone 10-0-0-64-26", "set 10.0.0.0/26", "gone 10-0-0-0-26"]);
    expect(wide.told).toEqual([
      "all 10.0.0.0/26,10.0.0.64/26",
      "set 10.0.0.64/26",
      "set 10.0.0.0/26",
      "gone 10-0-0-0-26",
    ]);
  });

  test("keep a filter that they share", async () => {
    member({ node: "node-a" });
    member({ node: "node-a" });
    await opening();
    expect(opened).toMatchObject([{ filter: { node: "node-a" } }]);
  });

  test("end with the last of them", async () => {
    const [first, second] = [member(), member()];
    await opening();
    first.close();
    expect(opened[0]?.isClosed).toBe(false);
    second.close();
    expect(opened[0]?.isClosed).toBe(true);
    opened[0]?.watcher.set(own);
    expect([...first.told, ...second.told]).toEqual([]);
  });

  test("do not begin if all have ended before", async () => {
    member().close();
    await opening();
    expect(opened).toEqual([]);
  });

  test("are not joined by one that begins later, which would not learn what was told before", async () => {
    const first = member();
    await opening();
    opened[0]?.watcher.all([own]);
    const later = member();
    await opening();
    expect(opened).toHaveLength(2);
    opened[1]?.watcher.all([own, other]);
    expect(first.told).toEqual(["all 10.0.0.0/26"]);
    expect(later.told).toEqual(["all 10.0.0.0/26,10.0.0.64/26"]);
  });
});

import { expect, test } from "vitest";
import type { Watcher } from "../../../../src/store/async-datastore.ts";
import { Compacted, Unanswered } from "../../../../src/store/cluster/backend.ts";
import { clusterDatastore } from "../../../../src/store/cluster/datastore.ts";
import { DamagedError } from "../../../../src/store/damage.ts";
import type { Filter } from "../../../../src/store/filter.ts";
import type { Key } from "../../../../src/store/key.ts";
import type { StoredObject } from "../../../../src/store/object.ts";
import { scriptedBackend } from "./scripted-backend.ts";

const key: Key = { kind: "IPAMHandle", handleId: "n.a" };
const object: StoredObject = { apiVersion: "", kind: "IPAMHandle", metadata: { name: "n.a" }, spec: {} };
const broken = new Unanswered("watch", { kind: "IPAMHandle", name: "" }, "connection reset");

/** The events of a watcher, until this many watches were requested. */
async function told(
  watches: ReturnType<typeof scriptedBackend>["watches"],
  filter: Filter = {},
): Promise<{ readonly words: readonly string[]; readonly log: readonly string[] }> {
  const backend = scriptedBackend();
  const words: string[] = [];
  const count = watches.length;
  backend.watches.push(...watches);
  const datastore = clusterDatastore(backend);
  const watcher: Watcher = {
    all: (objects) => words.push(`all ${objects.length}`),
    set: ({ metadata }) => words.push(`set ${metadata.name}`),
    gone: (gone) => words.push(`gone ${JSON.stringify(gone)}`),
    trouble: ({ message }) => words.push(message),
  };
  datastore.follow("IPAMHandle", watcher, filter);
  await expect
    .poll(() => backend.log.filter((line) => line.startsWith("watch")).length, { timeout: 5000 })
    .toBe(count + 1);
  datastore.close();
  return { words, log: backend.log };
}

test("a broken watch goes on after the last revision that was heard of, bookmarks too", async () => {
  const { words, log } = await told([
    [{ type: "set", object, revision: "5" }, broken],
    [{ type: "bookmark", revision: "9" }],
  ]);
  expect(words).toEqual(["all 0", "set n.a", 'cannot watch IPAMHandle "": connection reset']);
  expect(log).toEqual(["list ", "watch 0", "watch 5", "watch 9", "close"]);
});

test("what the store has forgotten is listed again", async () => {
  const { words, log } = await told([[{ type: "gone", key, revision: "5" }, new Compacted("IPAMHandle", "too old")]]);
  expect(words).toEqual(["all 0", `gone ${JSON.stringify(key)}`, "all 0"]);
  expect(log).toEqual(["list ", "watch 0", "list ", "watch 0", "close"]);
});

test("an object that cannot be used counts as gone, and says why", async () => {
  const error = new DamagedError("read", { kind: "IPAMHandle", name: "n.a" }, "it is not JSON");
  const { words } = await told([[{ type: "damaged", key, error, revision: "5" }]]);
  expect(words).toEqual(["all 0", `gone ${JSON.stringify(key)}`, 'cannot read IPAMHandle "n.a": it is not JSON']);
});

test("an object that the filter does not let pass any more is gone", async () => {
  const ours = { ...object, spec: { handleID: "n.a" } };
  const script = [
    { type: "set", object: ours, revision: "5" },
    { type: "set", object: { ...ours, spec: { handleID: "m.a" } }, revision: "6" },
  ] as const;
  const { words } = await told([script], { network: "n" });
  expect(words).toEqual(["all 0", "set n.a", 'gone {"kind":"IPAMHandle","handleId":"m.a"}']);
});

import { beforeEach, describe, expect, test } from "vitest";
import { Endpoints } from "../../../src/agent/endpoints/endpoints.ts";
import { NodePods } from "../../../src/agent/endpoints/node-pods.ts";
import type { Watcher } from "../../../src/store/async-datastore.ts";
import { keyOf } from "../../../src/store/key.ts";
import { decodePod } from "../../../src/store/kubernetes/pod.ts";
import { StoreError } from "../../../src/store/store-error.ts";
import { memoryDatastore } from "./memory-datastore.ts";

const web = { namespace: "shop", name: "web-0" };
const pools = "cni.projectcalico.org/ipv4pools";
const interrupted = new StoreError({
  action: "watch",
  object: { kind: "WorkloadEndpoint", name: "" },
  reason: "reset",
});

const podOf = (uid: string, annotations: Readonly<Record<string, string>> = {}) =>
  decodePod({ metadata: { ...web, uid, resourceVersion: "7", annotations }, spec: { nodeName: "node-a" } });

let watcher: Watcher;
let pods: NodePods;
let reads: () => number;
let annotations: (uid?: string) => Promise<Readonly<Record<string, string>>>;

beforeEach(() => {
  const datastore = memoryDatastore();
  const follow = (_kind: unknown, one: Watcher) => {
    watcher = one;
    return { close: () => undefined };
  };
  pods = new NodePods({ ...datastore, follow }, "node-a", () => undefined);
  reads = () => datastore.requests.filter((request) => request === "read WorkloadEndpoint").length;
  const endpoints = new Endpoints(datastore.store, true, pods);
  annotations = (uid) => endpoints.annotations({ node: "node-a", pod: web, uid }, 1000);
});

describe("the pods of the node", () => {
  test("are answered from memory for the UID that the watch reported, with the change that it reported last", async () => {
    watcher.all([podOf("one", { [pools]: '["a"]' })]);
    expect(await annotations("one")).toEqual({ [pools]: '["a"]' });
    watcher.set(podOf("one", { [pools]: '["b"]' }));
    expect(await annotations("one")).toEqual({ [pools]: '["b"]' });
    expect(reads()).toBe(0);
  });

  test.each([undefined, "two"])("are read for the UID %s", async (uid) => {
    watcher.all([podOf("one")]);
    await expect(annotations(uid)).rejects.toMatchObject({ name: "PodGone" });
    expect(reads()).toBe(1);
  });

  test("are read once the watch was interrupted, until it reports them again", () => {
    watcher.all([podOf("one")]);
    watcher.trouble(interrupted);
    expect(pods.get(web, "one")).toBeUndefined();
    watcher.set(podOf("one"));
    expect(pods.get(web, "one")).toBeDefined();
    watcher.all([]);
    expect(pods.get(web, "one")).toBeUndefined();
  });

  test("are read once they are gone", () => {
    const pod = podOf("one");
    watcher.all([pod]);
    watcher.gone(keyOf(pod));
    expect(pods.get(web, "one")).toBeUndefined();
  });

  test("are kept without what others write at them, which may be long", () => {
    watcher.all([podOf("one", { "example.com/long": "x".repeat(1000), [pools]: "[]" })]);
    expect(pods.get(web, "one")?.metadata).toEqual({
      ...{ name: expect.any(String), namespace: "shop", uid: "one", resourceVersion: "7" },
      annotations: { [pools]: "[]" },
    });
  });
});

describe("a DEL", () => {
  const attachment = { network: "net", containerId: "c1", ifname: "eth0" };
  const recorded = (revision: string, containerId: string) => {
    const pod = podOf("one", { "cni.projectcalico.org/containerID": containerId });
    return { ...pod, metadata: { ...pod.metadata, resourceVersion: revision } };
  };

  /** What the datastore is asked for by a DEL of `c1`. */
  async function requestsOf(inMemory: string, revision?: string): Promise<readonly string[]> {
    const datastore = memoryDatastore();
    const stored = await datastore.store.handle({ op: "create", key: keyOf(podOf("one")), object: recorded("", "c1") });
    const [object] = "objects" in stored ? stored.objects : [];
    watcher.all([recorded(revision ?? String(object?.metadata.resourceVersion), inMemory)]);
    const before = datastore.requests.length;
    await new Endpoints(datastore.store, true, pods).delete({ node: "node-a", pod: web, attachment }, 1000);
    expect(datastore.memory.all("WorkloadEndpoint")).toEqual([]);
    return datastore.requests.slice(before);
  }

  test("of the sandbox that the watch reported reads nothing", async () => {
    expect(await requestsOf("c1")).toEqual(["delete WorkloadEndpoint"]);
  });

  test("reads the pod if it has changed since, or if the watch reported another sandbox", async () => {
    const [removal, ...others] = await requestsOf("c1", "outdated");
    expect([removal, ...others]).toEqual([
      "delete WorkloadEndpoint",
      "read WorkloadEndpoint",
      "delete WorkloadEndpoint",
    ]);
    expect(await requestsOf("c0")).toEqual(["read WorkloadEndpoint", "delete WorkloadEndpoint"]);
  });
});

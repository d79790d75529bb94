import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { newAffinity } from "../../../../src/ipam/model/affinity.ts";
import { newHandle } from "../../../../src/ipam/model/handle.ts";
import { objectFault } from "../../../../src/store/decode.ts";
import { parseJson } from "../../../../src/store/json.ts";
import { keyOf } from "../../../../src/store/key.ts";
import { decodeNode, patchOfNode } from "../../../../src/store/kubernetes/node.ts";
import { convertUid, decodeObject, encodeObject, isHalfDeleted } from "../../../../src/store/kubernetes/objects.ts";
import { type Raw, resourceName, resourceOf, selectorOf } from "../../../../src/store/kubernetes/resources.ts";
import type { Kind, StoredObject } from "../../../../src/store/object.ts";
import { root } from "../../../lib/suite.ts";

const directory = join(root, "test/fixtures/calico-newest/kubernetes");
const old = "crd.projectcalico.org/v1";
const native = "projectcalico.org/v3";

/** Calico's objects, by step. */
const recorded = readdirSync(directory)
  .filter((file) => file.endsWith(".objects.json"))
  .flatMap((file) =>
    (parseJson(readFileSync(join(directory, file), "utf8")) as (Raw & { readonly kind: Kind })[]).map((raw) => ({
      file,
      kind: raw.kind,
      name: raw.metadata.name,
      raw,
    })),
  );
/** kubectl created the pools. */
const calicosOwn = recorded.filter(({ kind }) => kind !== "IPPool");

describe("what Calico keeps in crd.projectcalico.org/v1", () => {
  test("is recorded for every kind that a pod's addresses need", () => {
    expect(new Set(recorded.map(({ kind }) => kind))).toEqual(
      new Set(["IPPool", "IPAMBlock", "BlockAffinity", "IPAMHandle"]),
    );
  });

  test.each(recorded)("$file: $kind $name is read, and is found by its key", ({ kind, name, raw }) => {
    const object = decodeObject(kind, raw, old);
    expect(objectFault(kind, object)).toBeUndefined();
    expect(resourceName(keyOf(object))).toBe(name);
    expect(object.metadata.annotations?.["projectcalico.org/metadata"]).toBeUndefined();
    expect(isHalfDeleted(object)).toBe(false);
  });

  test.each(calicosOwn)("$file: $kind $name is written as it was", ({ kind, raw }) => {
    const object = decodeObject(kind, raw, old);
    const { creationTimestamp: _time, generation: _generation, ...metadata } = raw.metadata;
    expect(encodeObject(keyOf(object), object, old)).toEqual({ ...raw, metadata });
  });
});

describe("what we write first", () => {
  const block = "192.168.230.0/26";

  test("an affinity is Calico's to the byte, without hints of ours", () => {
    const affinity = newAffinity("rig-node", block, "confirmed", "192.168.0.0/16");
    const { raw } = calicosOwn.find(({ kind, name }) => kind === "BlockAffinity" && name.startsWith("rig-node")) as {
      raw: Raw;
    };
    const written = encodeObject(keyOf(affinity), affinity, old);
    expect(written.spec).toEqual(raw.spec);
    expect(written.metadata).toEqual({
      name: "rig-node-192-168-230-0-26",
      labels: raw.metadata.labels,
      annotations: raw.metadata.annotations,
    });
  });

  test("an affinity of an older Calico gets the labels that the newer one looks for", () => {
    const { labels, ...metadata } = newAffinity("n", "fd00::/122", "pending").metadata;
    const unlabelled = { ...newAffinity("n", "fd00::/122", "confirmed"), metadata };
    for (const group of [old, native] as const) {
      expect(encodeObject(keyOf(unlabelled), unlabelled, group).metadata.labels).toEqual(labels);
    }
  });

  test("a handle is Calico's to the byte", () => {
    const handle = newHandle("k8s-pod-network.sandbox-p2", { [block]: 1 });
    const { raw } = calicosOwn.find(({ name }) => name === "k8s-pod-network.sandbox-p2") as { raw: Raw };
    const { name, annotations } = raw.metadata;
    expect(encodeObject(keyOf(handle), handle, old)).toEqual({
      apiVersion: old,
      kind: "IPAMHandle",
      metadata: { name, annotations },
      spec: raw.spec,
    });
  });

  test("a block has what the schema requires and nothing that is null", () => {
    const spec = {
      cidr: block,
      affinity: null,
      allocations: [null, 0],
      unallocated: [],
      attributes: [{ handle_id: null, secondary: { node: "n" } }],
      sequenceNumber: 1690113884806720496n,
      strictAffinity: true,
    };
    const object: StoredObject = { apiVersion: old, kind: "IPAMBlock", metadata: { name: "b" }, spec };
    expect(encodeObject(keyOf(object), object, old).spec).toEqual({
      cidr: block,
      allocations: [null, 0],
      unallocated: [],
      attributes: [{ secondary: { node: "n" } }],
      sequenceNumber: 1690113884806720496n,
      strictAffinity: false,
      deleted: false,
    });
  });

  test("finalizers and owners of a resource stay on it", () => {
    const { raw } = recorded.find(({ kind }) => kind === "IPPool") as { readonly raw: Raw };
    const kept = { finalizers: ["example.com/wait"], ownerReferences: [{ kind: "Node", name: "n", uid: "1" }] };
    const object = decodeObject("IPPool", { ...raw, metadata: { ...raw.metadata, ...kept } }, old);
    expect(encodeObject(keyOf(object), object, old).metadata).toMatchObject(kept);
  });

  test("labels and annotations of a resource stand in one annotation; those of Calico on it as well", () => {
    const labels = { zone: "a", "projectcalico.org/x": "1" };
    const metadata = { name: "p", labels, annotations: { note: "n" } };
    const pool: StoredObject = { apiVersion: native, kind: "IPPool", metadata, spec: { cidr: "10.0.0.0/16" } };
    const raw = encodeObject(keyOf(pool), pool, old);
    expect(raw.metadata).toEqual({
      name: "p",
      labels: { "projectcalico.org/x": "1" },
      annotations: {
        "projectcalico.org/metadata": '{"labels":{"projectcalico.org/x":"1","zone":"a"},"annotations":{"note":"n"}}',
      },
    });
    expect(decodeObject("IPPool", raw, old).metadata).toEqual(metadata);
  });
});

describe("projectcalico.org/v3", () => {
  test("calls IPAMConfig another name, and has no annotation of metadata", () => {
    expect(resourceOf("IPAMConfig", old)).toMatchObject({
      kind: "IPAMConfig",
      path: "/apis/crd.projectcalico.org/v1/ipamconfigs",
    });
    expect(resourceOf("IPAMConfig", native)).toEqual({
      apiVersion: native,
      kind: "IPAMConfiguration",
      path: "/apis/projectcalico.org/v3/ipamconfigurations",
    });
    const metadata = { name: "p", labels: { zone: "a" } };
    const pool: StoredObject = { apiVersion: native, kind: "IPPool", metadata, spec: { cidr: "10.0.0.0/16" } };
    expect(encodeObject(keyOf(pool), pool, native).metadata).toEqual(metadata);
  });

  test("deleted of an affinity is a boolean there and a text before", () => {
    const affinity = newAffinity("n", "10.0.0.0/26", "pending");
    const deletedIn = (group: typeof old | typeof native) =>
      (
        encodeObject(keyOf(affinity), { ...affinity, spec: { ...affinity.spec, deleted: true } }, group).spec as {
          deleted: unknown;
        }
      ).deleted;
    expect(deletedIn(old)).toBe("true");
    expect(deletedIn(native)).toBe(true);
  });
});

describe("names", () => {
  test.each([
    ["k8s-pod-network.3f2a", "k8s-pod-network.3f2a"],
    ["Net1.ABC", "net1.abc"],
    ["vxlan-tunnel-addr-mac-k8s", "vxlan-tunnel-addr-mac-k8s"],
  ])("handle %s is called %s", (handleId, name) => {
    expect(resourceName({ kind: "IPAMHandle", handleId })).toBe(name);
  });

  test.each(["net/abc/net1", "my_net.abc", `n.${"a".repeat(300)}`, "-n.a", "n..a", "n.-a", "_._", "."])(
    "handle %s has a name that the API takes",
    (handleId) => {
      expect(resourceName({ kind: "IPAMHandle", handleId })).toMatch(
        /^(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/,
      );
    },
  );

  test("a node's affinities are asked for by Calico's labels", () => {
    expect(selectorOf("BlockAffinity", { node: "rig-node", family: 4 })).toBe(
      "projectcalico.org/affinity-type=host," +
        "projectcalico.org/hostname-hash=RCUE3T4YHJKCJD5HNPJODPTKUZCX4VLJDVP7QKOJ5KCNBU6RGOGQ,projectcalico.org/ip-version=4",
    );
    expect(selectorOf("IPAMBlock", { node: "rig-node" })).toBe("");
  });
});

describe("UIDs", () => {
  test("have the bits of their bytes in the other order, but for version and variant, and back", () => {
    expect(convertUid("01020304-8000-4fff-a0ff-000000000001")).toBe("8040c020-0100-4fff-a0ff-000000000080");
    const uid = "9bd362ca-891f-4691-b0f7-c2afcd4b1cdd";
    expect(convertUid(convertUid(uid))).toBe(uid);
    expect(convertUid("no-uid")).toBe("no-uid");
  });

  test("are those of the API for what IPAM alone knows", () => {
    const { raw } = recorded.find(({ kind }) => kind === "IPAMBlock") as { raw: Raw };
    expect(decodeObject("IPAMBlock", raw, old).metadata.uid).toBe(raw.metadata.uid);
    const pool = recorded.find(({ kind }) => kind === "IPPool") as { raw: Raw };
    expect(decodeObject("IPPool", pool.raw, old).metadata.uid).toBe(convertUid(String(pool.raw.metadata.uid)));
  });
});

describe("Calico's Node", () => {
  const nodes = JSON.parse(readFileSync(join(directory, "nodes.json"), "utf8")) as {
    name: string;
    annotations: object;
  }[];

  test.each(nodes)(
    "$name is read from the annotations that Felix is given, and written so",
    ({ name, annotations }) => {
      const raw = { metadata: { name, resourceVersion: "7", annotations: { ...annotations } } } as Raw;
      const node = decodeNode(raw);
      expect(node.spec).toMatchObject({
        bgp: { ipv4Address: expect.stringMatching(/\/24$/) },
        ipv4VXLANTunnelAddr: expect.stringMatching(/^192\.168\./),
        vxlanTunnelMACAddr: expect.stringMatching(/^66:/),
        orchRefs: [{ nodeName: name, orchestrator: "k8s" }],
      });
      const patch = patchOfNode(node) as { metadata: { resourceVersion: string; annotations: object } };
      expect(patch.metadata.resourceVersion).toBe("7");
      const set = Object.entries(patch.metadata.annotations).filter(([, value]) => value !== null);
      expect(Object.fromEntries(set)).toEqual(
        Object.fromEntries(Object.entries(annotations).filter(([key]) => key.startsWith("projectcalico.org/"))),
      );
    },
  );
});

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { objectFault } from "../../../../src/store/decode.ts";
import { keyAt, pathOf, prefixOf } from "../../../../src/store/etcd/paths.ts";
import { decodeValue, encodeValue } from "../../../../src/store/etcd/values.ts";
import type { Key } from "../../../../src/store/key.ts";
import { keyOf } from "../../../../src/store/key.ts";
import type { Kind, StoredObject } from "../../../../src/store/object.ts";
import { root } from "../../../lib/suite.ts";

const kinds: readonly Kind[] = ["IPAMBlock", "BlockAffinity", "IPAMHandle", "IPAMConfig", "IPPool", "Node"];
const directory = join(root, "test/fixtures/calico-newest/etcd");
const now = new Date(0);

/** Calico's objects, by step, kind and key. */
const recorded = readdirSync(directory).flatMap((file) => {
  const values = JSON.parse(readFileSync(join(directory, file), "utf8")) as Readonly<Record<string, string>>;
  return Object.entries(values).flatMap(([path, value]) =>
    kinds
      .filter((kind) => path.startsWith(prefixOf(kind, {}) ?? "/none"))
      .map((kind) => ({ file, kind, path, value, key: keyAt(kind, path) as Key })),
  );
});

describe("what Calico keeps in etcd", () => {
  test("is recorded for every kind that this reads", () => {
    expect(new Set(recorded.map(({ kind }) => kind))).toEqual(new Set(kinds.filter((kind) => kind !== "IPAMConfig")));
  });

  test.each(recorded)("$file: $path is read, and written byte for byte", ({ kind, path, key, value }) => {
    expect(pathOf(key)).toBe(path);
    const object = decodeValue(key, value, "7");
    expect(objectFault(kind, object)).toBeUndefined();
    expect(object.metadata.resourceVersion).toBe("7");
    expect(keyOf(object)).toEqual(key);
    expect(encodeValue(key, object, now)).toBe(value);
  });

  test("sequence numbers are exact", () => {
    const block = recorded.find(({ kind, file }) => kind === "IPAMBlock" && file.startsWith("01"));
    const { spec } = decodeValue(block?.key as Key, block?.value ?? "", "1");
    expect(spec).toMatchObject({
      affinity: "host:rig-node",
      affinityClaimTime: expect.stringMatching(/^2026-11-27T/),
      strictAffinity: false,
      sequenceNumber: 1795751074281707425n,
      sequenceNumberForAllocation: { 0: 1795751074281707424n },
    });
  });
});

describe("values of older Calico", () => {
  test("an empty affinity is confirmed", () => {
    const key: Key = { kind: "BlockAffinity", node: "n1", cidr: "fd00::40/122" };
    expect(pathOf(key)).toBe("/calico/ipam/v2/host/n1/ipv6/block/fd00::40-122");
    const { spec } = decodeValue(key, "", "1");
    expect(spec).toEqual({ cidr: "fd00::40/122", node: "n1", type: "host", state: "confirmed", deleted: "false" });
  });

  test("hostAffinity names the owner", () => {
    const key: Key = { kind: "IPAMBlock", cidr: "10.0.0.0/30" };
    expect(decodeValue(key, '{"cidr":"10.0.0.0/30","hostAffinity":"n1"}', "1").spec).toMatchObject({
      affinity: "host:n1",
    });
  });
});

describe("what we write first", () => {
  test("IPAMConfig is without what is false, and is read with it", () => {
    const key: Key = { kind: "IPAMConfig", name: "default" };
    const spec = { strictAffinity: false, autoAllocateBlocks: true, maxBlocksPerHost: 0 };
    const value = encodeValue(key, objectOf("IPAMConfig", "default", spec), now);
    expect(value).toBe('{"auto_allocate_blocks":true}');
    expect(decodeValue(key, value, "1").spec).toEqual({ strictAffinity: false, autoAllocateBlocks: true });
  });

  test("a resource gets an identity and a time, and keeps them", () => {
    const key: Key = { kind: "IPPool", name: "p" };
    const value = encodeValue(
      key,
      objectOf("IPPool", "p", { cidr: "10.0.0.0/16" }),
      new Date("2026-01-02T03:04:05.678Z"),
    );
    expect(value).toMatch(
      /^\{"kind":"IPPool","apiVersion":"projectcalico\.org\/v3","metadata":\{"name":"p","uid":"[0-9a-f-]{36}","creationTimestamp":"2026-01-02T03:04:05Z"\},"spec":\{"cidr":"10\.0\.0\.0\/16"\}\}$/,
    );
    expect(encodeValue(key, decodeValue(key, value, "3"), now)).toBe(value);
  });

  test("maps are in the order of Go, and its escapes are used", () => {
    const key: Key = { kind: "IPAMBlock", cidr: "10.0.0.0/28" };
    const spec = {
      cidr: "10.0.0.0/28",
      allocations: [],
      unallocated: [],
      attributes: [{ handle_id: "n.a", secondary: { pod: "a<b>&c", namespace: "x" } }],
      sequenceNumber: 1n,
      sequenceNumberForAllocation: { 2: 1n, 10: 2n },
      strictAffinity: false,
    };
    expect(encodeValue(key, objectOf("IPAMBlock", "b", spec), now)).toBe(
      '{"cidr":"10.0.0.0/28","allocations":[],"unallocated":[],"attributes":[{"handle_id":"n.a","secondary":' +
        '{"namespace":"x","pod":"a\\u003cb\\u003e\\u0026c"}}],"sequenceNumber":1,"sequenceNumberForAllocation":{"10":2,"2":1},"deleted":false}',
    );
  });

  test("members that are not known are kept", () => {
    const key: Key = { kind: "IPAMHandle", handleId: "n.a" };
    const value = '{"block":{"10.0.0.0/26":1},"deleted":false,"color":"red"}';
    expect(encodeValue(key, decodeValue(key, value, "1"), now)).toBe(value);
  });
});

function objectOf(kind: Kind, name: string, spec: object): StoredObject {
  return { apiVersion: "", kind, metadata: { name }, spec };
}

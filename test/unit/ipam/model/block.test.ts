import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type AllocationAttribute,
  assign,
  assignOrdinal,
  type Block,
  type BlockSpec,
  decodeBlock,
  isBlock,
  newBlock,
  ordinalsOfHandle,
  release,
} from "../../../../src/ipam/model/block.ts";
import { blockFault } from "../../../../src/ipam/model/block-fault.ts";
import { parseJson } from "../../../../src/store/json.ts";
import type { StoredObject } from "../../../../src/store/object.ts";

const unreserved = () => false;

describe("assign()", () => {
  test("takes the head of the unallocated list", () => {
    const spec = { ...small().spec, unallocated: [3, 1, 0, 2] };
    expect(assign(spec, 2, attribute("a"), unreserved)).toMatchObject({
      ordinals: [3, 1],
      spec: { unallocated: [0, 2], allocations: [null, 0, null, 0], attributes: [attribute("a")] },
    });
  });

  test("leaves reserved ordinals at their place in the list", () => {
    expect(assign(small().spec, 2, attribute("a"), (ordinal) => ordinal < 2)).toMatchObject({
      ordinals: [2, 3],
      spec: { unallocated: [0, 1] },
    });
  });

  test("gives fewer when there are fewer, and the same spec when there is none", () => {
    const full = assign(small().spec, 9, attribute("a"), unreserved);
    expect(full.ordinals).toEqual([0, 1, 2, 3]);
    expect(assign(full.spec, 1, attribute("b"), unreserved)).toEqual({ spec: full.spec, ordinals: [] });
  });

  test("notes the sequence number before the write and counts it up", () => {
    expect(assign(small().spec, 1, attribute("a"), unreserved).spec).toMatchObject({
      sequenceNumber: 1690113884806720473n,
      sequenceNumberForAllocation: { 0: 1690113884806720472n },
    });
  });

  test("shares an attribute that is equal, and none that says more", () => {
    const owned = { ...attribute("a"), alternateOwnerAttrs: { pod: "b" } };
    const one = assign(small().spec, 1, attribute("a"), unreserved).spec;
    const two = assign(one, 1, attribute("a"), unreserved).spec;
    expect(two.attributes).toEqual([attribute("a")]);
    expect(assign(two, 1, owned, unreserved).spec.attributes).toEqual([attribute("a"), owned]);
  });
});

describe("assignOrdinal()", () => {
  test("takes one from the middle of the list, once", () => {
    const spec = assignOrdinal(small().spec, 2, attribute("a"));
    expect(spec).toMatchObject({ unallocated: [0, 1, 3], allocations: [null, null, 0, null] });
    expect(assignOrdinal(spec as BlockSpec, 2, attribute("b"))).toBeUndefined();
  });
});

describe("release()", () => {
  test("gives back at the tail, and removes the attribute and the sequence number", () => {
    const one = assign(small().spec, 1, attribute("a"), unreserved).spec;
    const two = assign(one, 1, attribute("b"), unreserved).spec;
    expect(release(two, [0])).toMatchObject({
      unallocated: [2, 3, 0],
      allocations: [null, 0, null, null],
      attributes: [attribute("b")],
      sequenceNumber: 1690113884806720475n,
      sequenceNumberForAllocation: { 1: 1690113884806720473n },
    });
  });
});

describe("assign(), release() of a block of Calico 3.26", () => {
  test("goes from before to after by what its cluster did: one pod created, one deleted", () => {
    const before = fixture("before");
    const after = fixture("after");
    const gone = ordinalsOfHandle(before.spec, (before.spec.attributes[1] as AllocationAttribute).handle_id ?? "");
    const nginx = after.spec.attributes[7] as AllocationAttribute;
    const { spec } = assign(before.spec, 1, nginx, unreserved);
    expect(release(spec, gone)).toEqual(after.spec);
  });

  test("is the same again after assign and release but for its order and its sequence number", () => {
    const { spec } = fixture("before");
    const assigned = assign(spec, 1, attribute("new"), unreserved);
    const [first, ...rest] = spec.unallocated;
    expect(assigned.ordinals).toEqual([first]);
    expect(release(assigned.spec, assigned.ordinals)).toEqual({
      ...spec,
      unallocated: [...rest, first],
      sequenceNumber: 1690113884806720498n,
    });
  });
});

test("assign() and release() keep every invariant of a block and its order, whatever comes", () => {
  const step = fc.oneof(
    fc.record({ take: fc.constantFrom("a", "b", "c"), count: fc.integer({ min: 1, max: 5 }) }),
    fc.record({ exact: fc.constantFrom("a", "b", "c"), ordinal: fc.integer({ min: 0, max: 15 }) }),
    fc.record({ drop: fc.constantFrom("a", "b", "c") }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      let { spec } = newBlock("10.0.0.0/28", "host:n", 1n);
      const owners = new Map<number, string>();
      let order = [...spec.unallocated];
      for (const one of steps) {
        const before = spec;
        if ("take" in one) {
          const taken = order.slice(0, one.count);
          const assignment = assign(spec, one.count, attribute(one.take), unreserved);
          spec = assignment.spec;
          expect(assignment.ordinals).toEqual(taken);
          for (const ordinal of taken) owners.set(ordinal, one.take);
        } else if ("exact" in one) {
          spec = assignOrdinal(spec, one.ordinal, attribute(one.exact)) ?? spec;
          if (!owners.has(one.ordinal)) owners.set(one.ordinal, one.exact);
        } else {
          const held = ordinalsOfHandle(spec, one.drop);
          if (held.length > 0) spec = release(spec, held);
          for (const ordinal of held) owners.delete(ordinal);
          order.push(...held);
        }
        order = order.filter((ordinal) => !owners.has(ordinal));
        expect(blockFault(spec)).toBeUndefined();
        expect(spec.unallocated).toEqual(order);
        if (spec !== before) expect(BigInt(spec.sequenceNumber)).toBeGreaterThan(BigInt(before.sequenceNumber));
        for (const handle of ["a", "b", "c"]) {
          const mine = [...owners].filter(([, owner]) => owner === handle).map(([ordinal]) => ordinal);
          expect(ordinalsOfHandle(spec, handle)).toEqual(mine.sort((a, b) => a - b));
        }
      }
    }),
  );
});

test.each([
  ["allocations", { allocations: [null] }, "it has 1 allocations, not 4"],
  ["an index", { allocations: [0, null, null, null] }, "ordinal 0 names attribute 0 of 0"],
  ["an attribute", { attributes: [{}] }, "nothing uses attribute 0"],
  ["free twice", { unallocated: [0, 0, 1, 2] }, "an ordinal is listed twice in unallocated"],
  ["too large", { unallocated: [0, 1, 2, 4] }, "free ordinal 4 is none of its 4"],
  ["missing", { unallocated: [0, 1, 2] }, "1 ordinals are neither allocated nor listed in unallocated"],
  [
    "both",
    { allocations: [0, null, null, null], attributes: [{}] },
    "ordinal 0 is allocated but also listed in unallocated",
  ],
  ["a number", { sequenceNumberForAllocation: { 0: 1n } }, "ordinal 0 has a sequence number but no allocation"],
])("blockFault() names what is wrong: %s", (_, change, fault) => {
  expect(blockFault({ ...small().spec, ...change })).toBe(fault);
});

function small(): Block {
  return newBlock("10.0.0.0/30", "host:n", 1690113884806720472n);
}

test.each<[string, object, string]>([
  ["without its lists", { allocations: undefined }, "its spec lacks cidr"],
  ["of another range", { cidr: "10.0.0.64/26" }, 'its cidr is "10.0.0.64/26", not 10.0.0.0/26'],
  ["of no range", { cidr: "10.0.0-0/26" }, 'its cidr is "10.0.0-0/26", not 10.0.0.0/26'],
])("decodeBlock() refuses one %s", (_, change, reason) => {
  const block = newBlock("10.0.0.0/26", "host:n", 1n);
  const object = { ...block, spec: { ...block.spec, ...change } } as StoredObject;
  expect(() => decodeBlock(object, "10.0.0.0/26")).toThrow(reason);
  expect(isBlock(object)).toBe(reason.includes("10.0.0.64/26"));
});

function attribute(handle: string): AllocationAttribute {
  return { handle_id: handle, secondary: { node: "n" } };
}

function fixture(name: "before" | "after"): Block {
  const text = readFileSync(`test/fixtures/ipamblock-192-168-185-0-26.${name}.json`, "utf8");
  return decodeBlock(parseJson(text) as StoredObject, "192.168.185.0/26");
}

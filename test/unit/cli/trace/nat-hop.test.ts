import { describe, expect, test } from "vitest";
import type { TraceFacts } from "../../../../src/cli/trace/facts.ts";
import { natHop } from "../../../../src/cli/trace/nat-hop.ts";
import { direct, far, local, natTableWith, outside } from "./example.ts";

const pool = "10.0.0.0/16";
const hop = (changes: Partial<TraceFacts> = {}) => natHop({ ...outside, ...changes });

describe("natHop()", () => {
  test("the packet leaves with the node's address", () => {
    expect(hop()).toMatchObject({ verdict: "good", text: "the packet leaves with the node's address" });
  });

  test("a packet that stays in the pools has no such step", () => {
    for (const facts of [local, direct]) expect(natHop(facts)).toBeUndefined();
    expect(hop({ target: { kind: "far node", address: "10.0.1.1", on: far } })).toBeUndefined();
  });

  test.each<readonly [string, Partial<TraceFacts>, string]>([
    ["a table that is missing", { natTable: "missing" }, "the table tortie is missing: the packet keeps 10.0.0.5"],
    ["a pool that is missing", { natTable: natTableWith([]) }, "the table tortie lacks the pool 10.0.0.0/16"],
    [
      "a target that counts as a pool's",
      { natTable: natTableWith([pool, "192.0.2.0/24"]) },
      "the table tortie takes 192.0.2.1 for an address of a pool",
    ],
    ["a rule that is missing", { natTable: natTableWith([pool], { counter: null }) }, "has no rule that translates"],
    [
      "another address",
      { outgoing: { address: "172.16.0.77" } },
      "the table tortie translates to the node's address: it should be 172.16.0.77",
    ],
    [
      "a range of ports that is missing",
      { outgoing: { ports: "1024-2047" } },
      "it should be the node's address, TCP and UDP from a port of 1024-2047",
    ],
  ])("finds %s", (_, changes, text) => {
    const found = hop(changes);
    expect(found?.verdict).toBe("wrong");
    expect(found?.text).toContain(text);
  });

  test("follows what the cluster asks for", () => {
    const snat = natTableWith([pool], { snat: { addr: "172.16.0.77" } });
    expect(hop({ natTable: snat, outgoing: { address: "172.16.0.77" } })?.verdict).toBe("good");
    const toFar = {
      target: { kind: "far node", address: "172.16.0.2", on: far },
      outgoing: { exclusions: ["172.16.0.2"] },
    } as const;
    expect(hop(toFar)).toMatchObject({ verdict: "unchecked" });
    expect(hop(toFar)?.text).toContain("natOutgoingExclusions: IPPoolsAndHostIPs): the packet keeps 10.0.0.5");
    expect(hop({ outgoing: { interface: "bond*" } })?.text).toContain("translates only what leaves by bond*");
    expect(hop({ outgoing: { interface: "eth*" } })?.verdict).toBe("good");
    expect(hop({ natTable: undefined })?.verdict).toBe("unchecked");
  });
});

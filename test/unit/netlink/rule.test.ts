import { expect, test } from "vitest";
import type { Reply } from "../../../src/netlink/message.ts";
import { addRule, type RuleEntry, readRulesAt } from "../../../src/netlink/rule.ts";

function replyOf(rule: RuleEntry): Reply {
  const { payload, type } = addRule(rule);
  return { type, flags: 0, sequence: 1, payload };
}

const rules: readonly RuleEntry[] = [
  {
    family: 4,
    from: "10.0.0.0/16",
    to: "10.0.0.0/16",
    table: 254,
    suppressPrefixLength: 0,
    priority: 32001,
    protocol: 80,
  },
  { family: 4, from: "10.0.0.0/16", to: "10.0.0.0/16", action: "blackhole", priority: 32002, protocol: 80 },
  { family: 6, from: "fd00::/64", table: 100, priority: 32002 },
  { family: 4, from: "10.1.0.0/16", table: 100, priority: 7 },
];

test("readRulesAt() reads the rules with one of the priorities", () => {
  const replies = rules.map(replyOf);
  expect(readRulesAt(replies, [32002])).toMatchObject(
    [rules[1], rules[2]].map((rule) => expect.objectContaining(rule)),
  );
  expect(readRulesAt(replies, [7, 32001])).toMatchObject(
    [rules[0], rules[3]].map((rule) => expect.objectContaining(rule)),
  );
  expect(readRulesAt(replies, [0])).toEqual([]);
});

test("readRulesAt() takes a rule without a priority for one with 0, and refuses a truncated one", () => {
  const [first] = rules;
  const reply = replyOf(first as RuleEntry);
  const header = { ...reply, payload: reply.payload.subarray(0, 12) };
  expect(readRulesAt([header], [0])).toMatchObject([{ priority: 0 }]);
  expect(() => readRulesAt([{ ...reply, payload: reply.payload.subarray(0, 14) }], [0])).toThrow(
    /cannot read netlink attribute header/,
  );
});

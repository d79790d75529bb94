import { familyOf } from "../net/address.ts";
import { addRule, deleteRule, dumpRules, type RuleEntry, readRule } from "../netlink/rule.ts";
import { describeRule } from "../plan/describe.ts";
import type { Rule } from "../plan/resource.ts";
import type { MessageDriver } from "./driver.ts";
import { differenceSuffix, type Places, placeText } from "./places.ts";
import { refusal, refusedWith } from "./refusal.ts";

/** A rule speaks of no link: it outlives the one that its table leads by. */
export const ruleDriver: MessageDriver<Rule> = {
  how: "message",
  describe: (rule) => `rule ${describeRule(rule)}`,
  links: () => [],
  create: (rule) => addRule(entryOf(rule)),
  remove: (rule) => deleteRule(entryOf(rule)),
  judge(rule, world) {
    const { at, from, table, priority } = rule;
    const found = world
      .view(at)
      .rules(familyOf(from))
      .some((has) => has.from === from && has.table === table && has.priority === priority);
    return found ? [] : [`rule ${describeRule(rule)} is missing${differenceSuffix(at)}`];
  },
  mayReplace: () => false,
};

/** Deletes the sandbox's rules of this number that lead to the table. Throws `CniError` 100 when the kernel refuses. */
export function removeRules(places: Places, { table, priority }: Pick<Rule, "table" | "priority">): void {
  const conversation = places.conversation("sandbox");
  for (const family of [4, 6] as const) {
    for (const reply of conversation.dump(dumpRules(family), "list rules in the sandbox")) {
      const rule = readRule(reply);
      // A kernel without IPv6 answers a question for it with the rules of all families.
      if (rule?.family !== family || rule.table !== table || rule.priority !== priority) continue;
      const outcome = conversation.request(deleteRule(rule));
      if (outcome.errno !== 0 && !refusedWith(outcome, "ENOENT")) {
        throw refusal(`delete the rule from ${rule.from ?? "all"}${placeText("sandbox")}`, outcome);
      }
    }
  }
}

function entryOf({ from, table, priority }: Rule): RuleEntry {
  return { family: familyOf(from), from, table, priority };
}

import { familyOf } from "../../net/address.ts";
import { addRule, deleteRule, dumpRules, type RuleEntry, readRulesAt } from "../../netlink/rule.ts";
import { describeRule } from "../../plan/describe.ts";
import type { Rule } from "../../plan/resource.ts";
import type { MessageDriver } from "../driver.ts";
import { hasErrno, KernelError } from "../errors.ts";
import { differenceSuffix, type Namespaces, placeText } from "../namespaces.ts";

/** A rule does not refer to a link, so it outlives the link of its table's routes. */
export const ruleDriver: MessageDriver<Rule> = {
  how: "message",
  describe: (rule) => `rule ${describeRule(rule)}`,
  links: () => [],
  create: (rule) => addRule(entryOf(rule)),
  remove: (rule) => deleteRule(entryOf(rule)),
  diff(rule, namespaces) {
    const { at, from, table, priority } = rule;
    const found = namespaces
      .state(at)
      .rules(familyOf(from), priority)
      .some((has) => has.from === from && has.table === table);
    return found ? [] : [`rule ${describeRule(rule)} is missing${differenceSuffix(at)}`];
  },
  mayReplace: () => false,
};

/**
 * Deletes the sandbox's rules with this priority and table, if the sandbox is the owner's. Throws `KernelError` if the kernel refuses.
 */
export function removeRules(
  namespaces: Namespaces,
  { table, priority }: Pick<Rule, "table" | "priority">,
  isRightSandbox: () => boolean,
): void {
  const connection = namespaces.connection("sandbox");
  const all = connection.dump(dumpRules(), ["list", "rules in the sandbox"]);
  const found = readRulesAt(all, [priority]).filter((rule) => rule.table === table);
  if (found.length === 0 || !isRightSandbox()) return;
  for (const rule of found) {
    const outcome = connection.request(deleteRule(rule));
    if (outcome.errno !== 0 && !hasErrno(outcome, "ENOENT")) {
      throw new KernelError(["delete", `the rule from ${rule.from ?? "all"}${placeText("sandbox")}`], outcome);
    }
  }
}

function entryOf({ from, table, priority }: Rule): RuleEntry {
  return { family: familyOf(from), from, table, priority };
}

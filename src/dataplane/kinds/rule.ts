import { familyOf } from "../../net/address.ts";
import { addRule, deleteRule, dumpRules, type RuleEntry, readRule, rulePriorityOf } from "../../netlink/rule.ts";
import { describeRule } from "../../plan/describe.ts";
import type { Rule } from "../../plan/resource.ts";
import type { MessageDriver } from "../driver.ts";
import { hasErrno, KernelError } from "../errors.ts";
import { differenceSuffix, type Namespaces, placeText } from "../namespaces.ts";

/** A rule speaks of no link: it outlives the one that its table leads by. */
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
      .rules(familyOf(from))
      .some((has) => has.from === from && has.table === table && has.priority === priority);
    return found ? [] : [`rule ${describeRule(rule)} is missing${differenceSuffix(at)}`];
  },
  mayReplace: () => false,
};

/**
 * Deletes the sandbox's rules of this number that lead to the table, if there are any and the sandbox is the right one. Throws `KernelError`
 * when the kernel refuses.
 */
export function removeRules(
  namespaces: Namespaces,
  { table, priority }: Pick<Rule, "table" | "priority">,
  isRightSandbox: () => boolean,
): void {
  const connection = namespaces.connection("sandbox");
  const found = connection
    .dump(dumpRules(), ["list", "rules in the sandbox"])
    // Of the kernel's own rules, which are all that most sandboxes have, no more is read.
    .filter((reply) => rulePriorityOf(reply) === priority)
    .flatMap((reply) => readRule(reply) ?? [])
    .filter((rule) => rule.table === table);
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

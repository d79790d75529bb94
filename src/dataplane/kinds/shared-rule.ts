/** Rules of policy routing for a range of addresses, shared by attachments. */
import { contains } from "../../net/prefix.ts";
import { addRule, deleteRule, dumpRules, type RuleEntry, readRulesAt } from "../../netlink/rule.ts";
import { describeRule } from "../../plan/describe.ts";
import type { SharedRule } from "../../plan/resource.ts";
import type { NetlinkConnection } from "../connection.ts";
import type { MessageDriver } from "../driver.ts";
import { hasErrno, KernelError } from "../errors.ts";
import { differenceSuffix } from "../namespaces.ts";

/** Has no roll-back: another attachment may rely on it by now. `removeSharedRules` removes it when it is unused. */
export const sharedRuleDriver: MessageDriver<SharedRule> = {
  how: "message",
  // The kernel answers EEXIST only to an identical rule.
  isShared: true,
  describe: textOf,
  links: () => [],
  create: (rule) => addRule(rule),
  diff(rule, namespaces) {
    const found = namespaces
      .state(rule.at)
      .rules(rule.family, rule.priority)
      .some((other) => covers(other, rule));
    return found ? [] : [`${textOf(rule)} is missing${differenceSuffix(rule.at)}`];
  },
  mayReplace: () => false,
};

/** Whether a rule does the same for a wider range: a rule of a pool that was split later serves every part. */
function covers({ from, to, ...other }: RuleEntry, rule: SharedRule): boolean {
  if (from === undefined || to === undefined || other.family !== rule.family) return false;
  return (
    contains(from, rule.from) && contains(to, rule.to) && isSameRule({ ...rule, from, to }, { from, to, ...other })
  );
}

/** The rules of a plugin, except those that are `wanted`: a part of those that were found. */
export interface UnusedRules {
  readonly kind: "shared-rule";
  readonly protocol: number;
  /** Rules are removed in this order. */
  readonly priorities: readonly number[];
  readonly wanted: (found: readonly RuleEntry[]) => readonly RuleEntry[];
}

/** Stops after this many changes of `wanted`; the next call continues. */
const maxTries = 16;

/**
 * Removes them on the host. `wanted` is called again after each change, so the last of two concurrent callers has seen the other's change, and puts
 * back what is wanted by then. Throws `KernelError` if the kernel refuses.
 */
export function removeSharedRules({ protocol, priorities, wanted }: UnusedRules, connection: NetlinkConnection): void {
  const all = connection.dump(dumpRules(), ["list", "rules on the host"]);
  const found = readRulesAt(all, priorities).filter((rule) => rule.protocol === protocol);
  let held = found;
  for (let tries = 0; tries < maxTries; tries++) {
    const wants = wanted(found);
    const missing = wants.filter((rule) => !held.some((other) => isSameRule(rule, other)));
    const extra = held.filter((rule) => !wants.some((other) => isSameRule(rule, other)));
    if (missing.length + extra.length === 0) return;
    change(connection, missing, inOrder(extra, priorities));
    held = [...wants];
  }
}

function change(connection: NetlinkConnection, missing: readonly RuleEntry[], extra: readonly RuleEntry[]): void {
  const outcomes = connection.exchange([...missing.map(addRule), ...extra.map(deleteRule)]);
  for (const [at, rule] of [...missing, ...extra].entries()) {
    const outcome = outcomes[at];
    if (outcome === undefined || outcome.errno === 0 || hasErrno(outcome, "EEXIST", "ENOENT")) continue;
    throw new KernelError([at < missing.length ? "add" : "delete", `${textOf(rule)} on the host`], outcome);
  }
}

function inOrder(rules: readonly RuleEntry[], priorities: readonly number[]): readonly RuleEntry[] {
  return priorities.flatMap((one) => rules.filter(({ priority }) => priority === one));
}

/** Whether two rules are equal. */
function isSameRule(one: RuleEntry, other: RuleEntry): boolean {
  return textOf(one) === textOf(other);
}

function textOf(rule: RuleEntry): string {
  return `${rule.family === 6 ? "IPv6 " : ""}rule ${describeRule(rule)}`;
}

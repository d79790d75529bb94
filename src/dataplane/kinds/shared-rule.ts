/** Rules of policy routing for a range of addresses, shared by attachments. */
import type { Sys } from "../../host/sys.ts";
import { contains } from "../../net/prefix.ts";
import { addRule, deleteRule, dumpRules, type RuleEntry, readRulesAt } from "../../netlink/rule.ts";
import { describeRule } from "../../plan/describe.ts";
import type { SharedRule } from "../../plan/resource.ts";
import { NetlinkConnection } from "../connection.ts";
import type { MessageDriver } from "../driver.ts";
import { hasErrno, KernelError } from "../errors.ts";
import { differenceSuffix } from "../namespaces.ts";

/** Has no roll-back: another attachment may rely on it by now. `follow…` removes it when it is unused. */
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

/** Identifies an owner's rules. */
export interface RuleOwner {
  readonly protocol: number;
  /** Rules are removed in this order. */
  readonly priorities: readonly number[];
}

/** Stops after this many changes of `wanted`; the next call continues. */
const maxTries = 16;

/**
 * Changes the host's rules of this owner to those that are `wanted`. That function gets the existing rules and is called again after each change,
 * so the last of two concurrent callers has seen the other's change. Throws `KernelError` if the kernel refuses.
 */
export function followRules(
  sys: Sys,
  { protocol, priorities }: RuleOwner,
  wanted: (found: readonly RuleEntry[]) => readonly RuleEntry[],
): void {
  const connection = new NetlinkConnection(sys.openNetlink("route"));
  try {
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
  } finally {
    connection.close();
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

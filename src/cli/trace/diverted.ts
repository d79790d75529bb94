/** Names the policy rule by which the kernel left the main table. */
import { makerOfRule } from "../doctor/reach/culprits.ts";
import type { Lookup, TraceFacts } from "./facts.ts";

/** `; rule 100 (from all lookup 52) of tailscale diverts it`; empty if no rule does. */
export function divertedBy(
  { rules }: Pick<TraceFacts, "rules">,
  { table }: Extract<Lookup, { kind: "route" }>,
): string {
  if (table === undefined || ["main", "local", "default"].includes(table)) return "";
  const rule = rules?.find((one) => one.table === table && one.action === undefined);
  if (rule === undefined) return "";
  const maker = makerOfRule(rule);
  return `; rule ${rule.priority} (${rule.text})${maker === undefined ? "" : ` of ${maker}`} diverts it`;
}

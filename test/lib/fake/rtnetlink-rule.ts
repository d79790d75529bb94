/** Rules of the fake kernel, except the defaults of every namespace. */

import { addressBytes } from "../../../src/net/address.ts";
import { addressOf, lengthOf } from "../../../src/net/prefix.ts";
import { u8Of } from "../../../src/netlink/codec/attribute.ts";
import { AttributeWriter } from "../../../src/netlink/codec/attribute-writer.ts";
import { addressFamily } from "../../../src/netlink/family.ts";
import { NLM_F_EXCL, type Reply } from "../../../src/netlink/message.ts";
import { RTM_DELRULE, RTM_GETRULE, RTM_NEWRULE } from "../../../src/netlink/rtnetlink.ts";
import * as rule from "../../../src/netlink/rule.ts";
import { describeRule } from "../../../src/plan/describe.ts";
import { Refused } from "./errno.ts";
import type { Answer, Handler } from "./kernel.ts";
import type { FakeNetns } from "./netns.ts";

export const ruleHandlers: Readonly<Record<number, Handler>> = {
  [RTM_NEWRULE]: newRule,
  [RTM_DELRULE]: deleteRule,
  [RTM_GETRULE]: getRules,
};

function newRule(netns: FakeNetns, request: Reply): readonly Answer[] {
  const wanted = ruleIn(netns, request);
  // Without NLM_F_EXCL the kernel accepts a duplicate rule.
  if ((request.flags & NLM_F_EXCL) !== 0 && netns.rules.some((has) => isSame(has, wanted))) throw new Refused("EEXIST");
  netns.rules.push(wanted);
  return [];
}

function deleteRule(netns: FakeNetns, request: Reply): readonly Answer[] {
  const wanted = ruleIn(netns, request);
  const at = netns.rules.findIndex((has) => isSame(has, wanted));
  if (at < 0) throw new Refused("ENOENT");
  netns.rules.splice(at, 1);
  return [];
}

function getRules(netns: FakeNetns, { payload }: Reply): readonly Answer[] {
  return netns.rules
    .filter(({ family }) => [0, addressFamily(family)].includes(u8Of(payload)))
    .map((found) => ({ type: RTM_NEWRULE, payload: describe(found) }));
}

function ruleIn(netns: FakeNetns, request: Reply): rule.RuleEntry {
  const wanted = rule.readRule(request);
  if (wanted === undefined) throw new Error("only rules that RuleEntry can say are modelled");
  if (wanted.family === 6 && !netns.ipv6) throw new Refused("EAFNOSUPPORT");
  if (wanted.table === 0) throw new Refused("EINVAL", "Invalid table");
  return wanted;
}

function isSame(one: rule.RuleEntry, other: rule.RuleEntry): boolean {
  const text = (entry: rule.RuleEntry) => `${entry.family} ${describeRule(entry)}`;
  return text(one) === text(other);
}

function describe(found: rule.RuleEntry): Uint8Array {
  const { family, from, to, action, table = 0, suppressPrefixLength, priority, protocol = 0 } = found;
  const writer = new AttributeWriter();
  writer
    .octets(addressFamily(family), to === undefined ? 0 : lengthOf(to), from === undefined ? 0 : lengthOf(from), 0)
    .octets(table < 256 ? table : 252, 0, 0, action === undefined ? 1 : rule.ruleActions[action])
    .word(0);
  if (to !== undefined) writer.bytes(rule.FRA_DST, addressBytes(addressOf(to)));
  if (from !== undefined) writer.bytes(rule.FRA_SRC, addressBytes(addressOf(from)));
  writer.u32(rule.FRA_SUPPRESS_PREFIXLEN, suppressPrefixLength ?? 0xffff_ffff).u8(rule.FRA_PROTOCOL, protocol);
  return writer.u32(rule.FRA_TABLE, table).u32(rule.FRA_PRIORITY, priority).finish();
}

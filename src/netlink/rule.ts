/** Routing policy rules: `struct fib_rule_hdr` and FRA_* (linux/fib_rules.h). */
import { addressBytes, type Family } from "../net/address.ts";
import { addressOf, lengthOf } from "../net/prefix.ts";
import { findAttribute, readAttributes, u8Of, u32Of } from "./codec/attribute.ts";
import { AttributeWriter } from "./codec/attribute-writer.ts";
import { addressFamily, familyOfNumber } from "./family.ts";
import { NLM_F_CREATE, NLM_F_EXCL, type Reply, type Request } from "./message.ts";
import { addressIn, dump, RTM_DELRULE, RTM_GETRULE, RTM_NEWRULE, requestWithAck } from "./rtnetlink.ts";

export const FRA_DST = 1;
export const FRA_SRC = 2;
export const FRA_PRIORITY = 6;
export const FRA_SUPPRESS_PREFIXLEN = 14;
export const FRA_TABLE = 15;
/** Linux 4.17; an older kernel ignores it. */
export const FRA_PROTOCOL = 21;
const FR_ACT_TO_TBL = 1;
/** FR_ACT_BLACKHOLE. */
export const ruleActions = { blackhole: 6 } as const;
export const ruleHeaderLength = 12;
/** FRA_SUPPRESS_PREFIXLEN of a rule that suppresses nothing. */
const nothing = 0xffff_ffff;

/** A rule for packets from and to prefixes. */
export interface RuleEntry {
  readonly family: Family;
  /** With prefix length; absent in a rule for every source. */
  readonly from?: string | undefined;
  /** With prefix length; absent in a rule for every destination. */
  readonly to?: string | undefined;
  /** Absent: look up the table. */
  readonly action?: keyof typeof ruleActions | undefined;
  readonly table?: number | undefined;
  /** Routes of the table with at most this prefix length are ignored. */
  readonly suppressPrefixLength?: number | undefined;
  /** The kernel evaluates rules in the order of this number. */
  readonly priority: number;
  /** The program that created the rule, as a number; 0 or absent if unknown. */
  readonly protocol?: number | undefined;
}

/** Adds a rule; an identical one is `EEXIST`. */
export function addRule(rule: RuleEntry): Request {
  return requestWithAck(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, rulePayload(rule));
}

export function deleteRule(rule: RuleEntry): Request {
  return requestWithAck(RTM_DELRULE, 0, rulePayload(rule));
}

/** Requests the rules of a family, or all rules. */
export function dumpRules(family?: Family): Request {
  return dump(RTM_GETRULE, ruleHeader(family === undefined ? 0 : addressFamily(family), 0, 0, 0).finish());
}

/**
 * Reads the rules with one of the priorities. A node may have thousands of others, and reading a whole rule takes much longer than finding its
 * priority. Throws `MalformedError`.
 */
export function readRulesAt(replies: readonly Reply[], priorities: readonly number[]): readonly RuleEntry[] {
  return replies.filter((reply) => priorities.includes(priorityOf(reply))).flatMap((reply) => readRule(reply) ?? []);
}

function priorityOf({ payload }: Reply): number {
  const priority = findAttribute(payload, FRA_PRIORITY, ruleHeaderLength);
  return priority === undefined ? 0 : u32Of(priority);
}

/**
 * Reads an RTM_NEWRULE; `undefined` for a rule that `RuleEntry` cannot express, and for other families (multicast has rules too).
 * Throws `MalformedError`.
 */
export function readRule({ payload }: Reply): RuleEntry | undefined {
  const family = familyOfNumber(u8Of(payload));
  const number = u8Of(payload, 7);
  const action = number === ruleActions.blackhole ? ("blackhole" as const) : undefined;
  if (family === undefined || (action === undefined && number !== FR_ACT_TO_TBL)) return undefined;
  const attributes = readAttributes(payload, ruleHeaderLength);
  const wordIn = (type: number) => {
    const value = attributes.get(type);
    return value && u32Of(value);
  };
  const prefixIn = (type: number, length: number) => {
    const address = addressIn(attributes, type);
    return address === undefined ? undefined : `${address}/${length}`;
  };
  const [protocol, suppress] = [attributes.get(FRA_PROTOCOL), wordIn(FRA_SUPPRESS_PREFIXLEN)];
  return {
    family,
    from: prefixIn(FRA_SRC, u8Of(payload, 2)),
    to: prefixIn(FRA_DST, u8Of(payload, 1)),
    action,
    table: action === undefined ? (wordIn(FRA_TABLE) ?? u8Of(payload, 4)) : undefined,
    suppressPrefixLength: suppress === nothing ? undefined : suppress,
    priority: wordIn(FRA_PRIORITY) ?? 0,
    protocol: protocol && u8Of(protocol),
  };
}

function rulePayload(rule: RuleEntry): Uint8Array {
  const { family, from, to, action, table, suppressPrefixLength, priority, protocol } = rule;
  const number = action === undefined ? FR_ACT_TO_TBL : ruleActions[action];
  const length = (prefix: string | undefined) => (prefix === undefined ? 0 : lengthOf(prefix));
  // The header's table has one byte; FRA_TABLE takes precedence.
  const writer = ruleHeader(addressFamily(family), length(to), length(from), number);
  if (to !== undefined) writer.bytes(FRA_DST, addressBytes(addressOf(to)));
  if (from !== undefined) writer.bytes(FRA_SRC, addressBytes(addressOf(from)));
  writer.u32(FRA_PRIORITY, priority);
  if (suppressPrefixLength !== undefined) writer.u32(FRA_SUPPRESS_PREFIXLEN, suppressPrefixLength);
  if (table !== undefined) writer.u32(FRA_TABLE, table);
  if (protocol) writer.u8(FRA_PROTOCOL, protocol);
  return writer.finish();
}

/** family, dst_len, src_len, tos, table, res1, res2, action, flags. */
function ruleHeader(family: number, toLength: number, fromLength: number, action: number): AttributeWriter {
  const writer = new AttributeWriter().octets(family, toLength, fromLength, 0);
  return writer.octets(0, 0, 0, action).word(0);
}

/** Routing policy rules: `struct fib_rule_hdr` and FRA_* (linux/fib_rules.h). */
import { addressBytes, type Family } from "../net/address.ts";
import { addressOf, lengthOf } from "../net/prefix.ts";
import { AttributeWriter, readAttributes, u8Of, u32Of } from "./attribute.ts";
import { NLM_F_CREATE, NLM_F_EXCL, type Reply, type Request } from "./message.ts";
import { acked, addressFamily, addressIn, dump, RTM_DELRULE, RTM_GETRULE, RTM_NEWRULE } from "./rtnetlink.ts";

export const FRA_SRC = 2;
export const FRA_PRIORITY = 6;
export const FRA_TABLE = 15;
const FR_ACT_TO_TBL = 1;
export const ruleHeaderLength = 12;

/** What comes from a prefix is led by a table. */
export interface RuleEntry {
  readonly family: Family;
  /** With its prefix length; absent in a rule for every source. */
  readonly from: string | undefined;
  readonly table: number;
  /** The rules are asked in the order of this number. */
  readonly priority: number;
}

/** Adds a rule; the very same one is `EEXIST`. */
export function addRule(rule: RuleEntry): Request {
  return acked(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, rulePayload(rule));
}

export function deleteRule(rule: RuleEntry): Request {
  return acked(RTM_DELRULE, 0, rulePayload(rule));
}

/** Asks for the rules of a family, or of all. */
export function dumpRules(family?: Family): Request {
  return dump(RTM_GETRULE, ruleHeader(family === undefined ? 0 : addressFamily(family), 0, 0, 0).finish());
}

/** Reads an RTM_NEWRULE; `undefined` for what leads to no table, and for other families (multicast has rules too). Throws `MalformedError`. */
export function readRule({ payload }: Reply): RuleEntry | undefined {
  const family = ([4, 6] as const).find((one) => addressFamily(one) === u8Of(payload));
  if (family === undefined || u8Of(payload, 7) !== FR_ACT_TO_TBL) return undefined;
  const attributes = readAttributes(payload, ruleHeaderLength);
  const [table, priority] = [attributes.get(FRA_TABLE), attributes.get(FRA_PRIORITY)];
  const from = addressIn(attributes, FRA_SRC);
  return {
    family,
    from: from === undefined ? undefined : `${from}/${u8Of(payload, 2)}`,
    table: table === undefined ? u8Of(payload, 4) : u32Of(table),
    priority: priority === undefined ? 0 : u32Of(priority),
  };
}

function rulePayload({ family, from, table, priority }: RuleEntry): Uint8Array {
  // The header's table has one byte; FRA_TABLE goes before it.
  const writer = ruleHeader(addressFamily(family), from === undefined ? 0 : lengthOf(from), 0, FR_ACT_TO_TBL);
  if (from !== undefined) writer.bytes(FRA_SRC, addressBytes(addressOf(from)));
  return writer.u32(FRA_PRIORITY, priority).u32(FRA_TABLE, table).finish();
}

/** family, dst_len, src_len, tos, table, res1, res2, action, flags. */
function ruleHeader(family: number, sourceLength: number, table: number, action: number): AttributeWriter {
  const writer = new AttributeWriter().byte(family).byte(0).byte(sourceLength).byte(0);
  return writer.byte(table).half(0).byte(action).word(0);
}

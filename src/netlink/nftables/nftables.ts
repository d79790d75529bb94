/**
 * nf_tables' requests and answers (linux/netfilter/nfnetlink.h, linux/netfilter/nf_tables.h), as pure functions on bytes.
 *
 *     batch begin [generation]  ─┐
 *       new table, set, chain…   ├─ one datagram, one transaction: all of it or nothing
 *     batch end                 ─┘
 *
 * With a generation the batch is a compare-and-swap: the kernel answers ERESTART if anything in nf_tables changed since that number was
 * read. Comments are user data in libnftnl's format (type, length, text with NUL), so that nft prints them.
 */

import type { TableFamily } from "../../net/address.ts";
import { encodeUtf8 } from "../../net/text.ts";
import { AttributeWriter } from "../codec/attribute-writer.ts";
import {
  AF_UNSPEC,
  hooks,
  NF_ACCEPT,
  NFNL_BATCH_GENID,
  NFNL_MSG_BATCH_BEGIN,
  NFNL_MSG_BATCH_END,
  NFNL_SUBSYS_NFTABLES,
  NFT_MSG_DELCHAIN,
  NFT_MSG_DELRULE,
  NFT_MSG_DELSET,
  NFT_MSG_DELTABLE,
  NFT_MSG_GETCHAIN,
  NFT_MSG_GETGEN,
  NFT_MSG_GETRULE,
  NFT_MSG_GETSET,
  NFT_MSG_GETTABLE,
  NFT_MSG_NEWCHAIN,
  NFT_MSG_NEWRULE,
  NFT_MSG_NEWSET,
  NFT_MSG_NEWTABLE,
  NFT_SET_INTERVAL,
  NFT_SET_MAP,
  NFTA_CHAIN_HOOK,
  NFTA_CHAIN_NAME,
  NFTA_CHAIN_POLICY,
  NFTA_CHAIN_TABLE,
  NFTA_CHAIN_TYPE,
  NFTA_HOOK_HOOKNUM,
  NFTA_HOOK_PRIORITY,
  NFTA_RULE_CHAIN,
  NFTA_RULE_EXPRESSIONS,
  NFTA_RULE_TABLE,
  NFTA_RULE_USERDATA,
  NFTA_SET_DATA_LEN,
  NFTA_SET_DATA_TYPE,
  NFTA_SET_DESC,
  NFTA_SET_DESC_SIZE,
  NFTA_SET_FLAGS,
  NFTA_SET_ID,
  NFTA_SET_KEY_LEN,
  NFTA_SET_KEY_TYPE,
  NFTA_SET_NAME,
  NFTA_SET_TABLE,
  NFTA_SET_USERDATA,
  NFTA_TABLE_FLAGS,
  NFTA_TABLE_NAME,
  plainComment,
  setComment,
  setDataByteOrder,
  setKeyByteOrder,
} from "../codec/nft-numbers.ts";
import { addressFamily } from "../family.ts";
import { NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, type Request } from "../message.ts";
import { type Expression, writeExpressions } from "./expression.ts";
import { byteOrder, type DataType, dataTypeId, typeId, typeLength } from "./type.ts";

/** The object of a request. */
export interface InTable {
  readonly family: TableFamily;
  readonly table: string;
}

export interface SetDefinition {
  readonly name: string;
  readonly key: readonly DataType[];
  readonly data?: readonly DataType[] | "verdict";
  readonly interval?: boolean;
  readonly comment?: string;
  /** The maximum number of elements, which lets the kernel allocate less. */
  readonly size?: number;
}

export interface ChainDefinition {
  readonly name: string;
  readonly hook?: {
    readonly type: string;
    readonly hook: keyof typeof hooks;
    readonly priority: number;
  };
}

/** The message that begins a transaction; with a generation, the transaction fails unless that is still the current one. */
export function batchBegin(generation?: number): Request {
  if (generation === undefined) return unconditionalBegin;
  const writer = header(AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
  writer.be32(NFNL_BATCH_GENID, generation);
  return { type: NFNL_MSG_BATCH_BEGIN, flags: 0, payload: writer.finish() };
}

export function batchEnd(): Request {
  return end;
}

// A constant, encoded when the executable is built.
const batchHeader = header(AF_UNSPEC, NFNL_SUBSYS_NFTABLES).finish();
const unconditionalBegin: Request = { type: NFNL_MSG_BATCH_BEGIN, flags: 0, payload: batchHeader };
const end: Request = { type: NFNL_MSG_BATCH_END, flags: 0, payload: batchHeader };

/** Creates a table; an existing one is success. */
export function newTable({ family, table }: InTable): Request {
  const writer = header(addressFamily(family)).string(NFTA_TABLE_NAME, table).be32(NFTA_TABLE_FLAGS, 0);
  return { type: NFT_MSG_NEWTABLE, flags: NLM_F_CREATE, payload: writer.finish() };
}

/** A table without a name, which the kernel always rejects with EINVAL (nft_table_lookup in net/netfilter/nf_tables_api.c). A transaction that
 * contains it is only a test. */
export const namelessTable: Request = {
  type: NFT_MSG_NEWTABLE,
  flags: NLM_F_CREATE,
  payload: header(addressFamily("ip")).finish(),
};

/** Removes a table with its contents. */
export function deleteTable({ family, table }: InTable): Request {
  return {
    type: NFT_MSG_DELTABLE,
    flags: 0,
    payload: header(addressFamily(family)).string(NFTA_TABLE_NAME, table).finish(),
  };
}

/** Creates a chain; an existing one is `EEXIST`. */
export function newChain({ family, table }: InTable, { name, hook }: ChainDefinition): Request {
  const writer = header(addressFamily(family)).string(NFTA_CHAIN_TABLE, table).string(NFTA_CHAIN_NAME, name);
  if (hook !== undefined) {
    writer
      .nest(NFTA_CHAIN_HOOK, () => {
        writer.be32(NFTA_HOOK_HOOKNUM, hooks[hook.hook]).be32(NFTA_HOOK_PRIORITY, hook.priority);
      })
      .be32(NFTA_CHAIN_POLICY, NF_ACCEPT)
      .string(NFTA_CHAIN_TYPE, hook.type);
  }
  return { type: NFT_MSG_NEWCHAIN, flags: NLM_F_CREATE | NLM_F_EXCL, payload: writer.finish() };
}

/** Removes a chain with its rules; `EBUSY` while any rule jumps to it. */
export function deleteChain({ family, table }: InTable, name: string): Request {
  const writer = header(addressFamily(family)).string(NFTA_CHAIN_TABLE, table).string(NFTA_CHAIN_NAME, name);
  return { type: NFT_MSG_DELCHAIN, flags: 0, payload: writer.finish() };
}

/** Appends a rule to a chain. */
export function newRule(
  { family, table }: InTable,
  chain: string,
  rule: { readonly expressions: readonly Expression[]; readonly comment: string },
): Request {
  const writer = header(addressFamily(family)).string(NFTA_RULE_TABLE, table).string(NFTA_RULE_CHAIN, chain);
  writer.nest(NFTA_RULE_EXPRESSIONS, () => writeExpressions(writer, rule.expressions));
  writer.bytes(NFTA_RULE_USERDATA, userData(plainComment, encodeUtf8(rule.comment)));
  return { type: NFT_MSG_NEWRULE, flags: NLM_F_CREATE | NLM_F_APPEND, payload: writer.finish() };
}

/** Removes all rules of a chain. */
export function flushChain({ family, table }: InTable, chain: string): Request {
  const writer = header(addressFamily(family)).string(NFTA_RULE_TABLE, table).string(NFTA_RULE_CHAIN, chain);
  return { type: NFT_MSG_DELRULE, flags: 0, payload: writer.finish() };
}

/** Creates a set or map; an existing one is `EEXIST`. `id` distinguishes the sets of one batch. */
export function newSet({ family, table }: InTable, set: SetDefinition, id: number): Request {
  const { name, key, data, interval, size } = set;
  const writer = header(addressFamily(family)).string(NFTA_SET_TABLE, table).string(NFTA_SET_NAME, name);
  writer.be32(NFTA_SET_FLAGS, (interval ? NFT_SET_INTERVAL : 0) | (data ? NFT_SET_MAP : 0));
  writer.be32(NFTA_SET_KEY_TYPE, typeId(key)).be32(NFTA_SET_KEY_LEN, typeLength(key));
  if (data) {
    const length = data === "verdict" ? 0 : typeLength(data);
    writer.be32(NFTA_SET_DATA_TYPE, dataTypeId(data)).be32(NFTA_SET_DATA_LEN, length);
  }
  writer.be32(NFTA_SET_ID, id);
  if (size !== undefined) {
    writer.nest(NFTA_SET_DESC, () => {
      writer.be32(NFTA_SET_DESC_SIZE, size);
    });
  }
  writer.bytes(NFTA_SET_USERDATA, setUserData(set));
  return { type: NFT_MSG_NEWSET, flags: NLM_F_CREATE | NLM_F_EXCL, payload: writer.finish() };
}

/** Removes a set with its elements. */
export function deleteSet({ family, table }: InTable, name: string): Request {
  return { type: NFT_MSG_DELSET, flags: 0, payload: inSet(addressFamily(family), table, name).finish() };
}

/** Requests one set; `ENOENT` if it or its table is missing. */
export function getSet({ family, table }: InTable, name: string): Request {
  return { type: NFT_MSG_GETSET, flags: NLM_F_ACK, payload: inSet(addressFamily(family), table, name).finish() };
}

/** Requests the sets of a table; `ENOENT` (or none) if it is missing. */
export function dumpSets({ family, table }: InTable): Request {
  const writer = header(addressFamily(family)).string(NFTA_SET_TABLE, table);
  return { type: NFT_MSG_GETSET, flags: NLM_F_DUMP, payload: writer.finish() };
}

/** Requests all chains of a family: the kernel cannot filter by table here. */
export function dumpChains({ family }: InTable): Request {
  return { type: NFT_MSG_GETCHAIN, flags: NLM_F_DUMP, payload: header(addressFamily(family)).finish() };
}

/** Requests one chain; `ENOENT` if it or its table is missing. */
export function getChain({ family, table }: InTable, name: string): Request {
  const writer = header(addressFamily(family)).string(NFTA_CHAIN_TABLE, table).string(NFTA_CHAIN_NAME, name);
  return { type: NFT_MSG_GETCHAIN, flags: NLM_F_ACK, payload: writer.finish() };
}

/** Requests the rules of a chain, in order. */
export function dumpRules({ family, table }: InTable, chain: string): Request {
  const writer = header(addressFamily(family)).string(NFTA_RULE_TABLE, table).string(NFTA_RULE_CHAIN, chain);
  return { type: NFT_MSG_GETRULE, flags: NLM_F_DUMP, payload: writer.finish() };
}

export function getTable({ family, table }: InTable): Request {
  const writer = header(addressFamily(family)).string(NFTA_TABLE_NAME, table);
  return { type: NFT_MSG_GETTABLE, flags: NLM_F_ACK, payload: writer.finish() };
}

/** Requests the number of the ruleset's current generation. */
export function getGeneration(): Request {
  return { type: NFT_MSG_GETGEN, flags: NLM_F_ACK, payload: header(AF_UNSPEC).finish() };
}

/** `struct nfgenmsg`: family, version, resource id. */
function header(family: number, resource = 0): AttributeWriter {
  return new AttributeWriter().octets(family, 0, resource >> 8, resource & 0xff);
}

function setUserData({ key, data, comment: text }: SetDefinition): Uint8Array {
  const parts: Uint8Array[] = [Uint8Array.of(setKeyByteOrder, 4, byteOrder(key), 0, 0, 0)];
  if (data !== undefined) {
    parts.push(Uint8Array.of(setDataByteOrder, 4, data === "verdict" ? 0 : byteOrder(data), 0, 0, 0));
  }
  if (text !== undefined) parts.push(userData(setComment, encodeUtf8(text)));
  const bytes = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** The attributes for table and name have the same numbers in messages about sets and in those about elements. */
export function inSet(family: number, table: string, set: string): AttributeWriter {
  return header(family).string(NFTA_SET_TABLE, table).string(NFTA_SET_NAME, set);
}

/** A typed value in libnftnl's format, which nft prints as a comment. */
export function userData(type: number, text: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(2 + text.length + 1);
  bytes[0] = type;
  bytes[1] = text.length + 1;
  bytes.set(text, 2);
  return bytes;
}

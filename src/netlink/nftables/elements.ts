/** Elements of nf_tables' sets and maps: adding, removing and requesting them (linux/netfilter/nf_tables.h). */
import { encodeUtf8 } from "../../net/text.ts";
import type { AttributeWriter } from "../codec/attribute-writer.ts";
import {
  NFT_MSG_DELSETELEM,
  NFT_MSG_GETSETELEM,
  NFT_MSG_NEWSETELEM,
  NFT_SET_ELEM_INTERVAL_END,
  NFTA_LIST_ELEM,
  NFTA_SET_ELEM_DATA,
  NFTA_SET_ELEM_FLAGS,
  NFTA_SET_ELEM_KEY,
  NFTA_SET_ELEM_LIST_ELEMENTS,
  NFTA_SET_ELEM_USERDATA,
  plainComment,
} from "../codec/nft-numbers.ts";
import { addressFamily } from "../family.ts";
import { NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, type Request } from "../message.ts";
import { writeJump, writeValue } from "./expression.ts";
import { type InTable, inSet, userData } from "./nftables.ts";

/** An element in register bytes. */
export interface SetElement {
  readonly key: Uint8Array;
  readonly data?: Uint8Array | { readonly jump: string };
  /** This key is the first after the end of an interval. */
  readonly intervalEnd?: boolean;
  readonly comment?: string;
}

/** Adds elements. With `exclusive` any existing one is `EEXIST`; without it, only one with different data. */
export function newElements(
  set: InTable & { readonly set: string },
  elements: readonly SetElement[],
  exclusive: boolean,
): Request {
  const flags = NLM_F_CREATE | (exclusive ? NLM_F_EXCL : 0);
  return { type: NFT_MSG_NEWSETELEM, flags, payload: elementList(set, elements) };
}

/** Removes elements by key; a missing one is `ENOENT`. */
export function deleteElements(set: InTable & { readonly set: string }, elements: readonly SetElement[]): Request {
  return { type: NFT_MSG_DELSETELEM, flags: 0, payload: elementList(set, elements) };
}

/** Removes all elements of a set. */
export function flushSet({ family, table, set }: InTable & { readonly set: string }): Request {
  return { type: NFT_MSG_DELSETELEM, flags: 0, payload: inSet(addressFamily(family), table, set).finish() };
}

/** Requests one element by key; `ENOENT` if it, its set or its table is missing. */
export function getElement(set: InTable & { readonly set: string }, key: Uint8Array): Request {
  return { type: NFT_MSG_GETSETELEM, flags: NLM_F_ACK, payload: elementList(set, [{ key }]) };
}

/** Requests all elements of a set; `ENOENT` if it or its table is missing. */
export function dumpElements({ family, table, set }: InTable & { readonly set: string }): Request {
  return { type: NFT_MSG_GETSETELEM, flags: NLM_F_DUMP, payload: inSet(addressFamily(family), table, set).finish() };
}

function elementList(
  { family, table, set }: InTable & { readonly set: string },
  elements: readonly SetElement[],
): Uint8Array {
  const writer = inSet(addressFamily(family), table, set);
  writer.nest(NFTA_SET_ELEM_LIST_ELEMENTS, () => {
    for (const element of elements) writer.nest(NFTA_LIST_ELEM, () => writeElement(writer, element));
  });
  return writer.finish();
}

function writeElement(writer: AttributeWriter, { key, data, intervalEnd, comment: text }: SetElement): void {
  if (intervalEnd) writer.be32(NFTA_SET_ELEM_FLAGS, NFT_SET_ELEM_INTERVAL_END);
  writeValue(writer, NFTA_SET_ELEM_KEY, key);
  if (data !== undefined) {
    if ("jump" in data) writeJump(writer, NFTA_SET_ELEM_DATA, data.jump);
    else writeValue(writer, NFTA_SET_ELEM_DATA, data);
  }
  if (text !== undefined) writer.bytes(NFTA_SET_ELEM_USERDATA, userData(plainComment, encodeUtf8(text)));
}

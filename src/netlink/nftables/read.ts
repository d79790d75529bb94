/** Decodes nf_tables' answers. */
import { type Attributes, be32Of, listAttributes, readAttributes, stringOf } from "../codec/attribute.ts";
import {
  hooks,
  NFT_SET_ELEM_INTERVAL_END,
  NFTA_CHAIN_HOOK,
  NFTA_CHAIN_NAME,
  NFTA_CHAIN_TABLE,
  NFTA_CHAIN_TYPE,
  NFTA_CHAIN_USE,
  NFTA_DATA_VALUE,
  NFTA_DATA_VERDICT,
  NFTA_GEN_ID,
  NFTA_HOOK_HOOKNUM,
  NFTA_HOOK_PRIORITY,
  NFTA_RULE_EXPRESSIONS,
  NFTA_RULE_USERDATA,
  NFTA_SET_DATA_TYPE,
  NFTA_SET_ELEM_DATA,
  NFTA_SET_ELEM_FLAGS,
  NFTA_SET_ELEM_KEY,
  NFTA_SET_ELEM_LIST_ELEMENTS,
  NFTA_SET_ELEM_USERDATA,
  NFTA_SET_FLAGS,
  NFTA_SET_KEY_TYPE,
  NFTA_SET_NAME,
  NFTA_SET_USERDATA,
  NFTA_TABLE_USE,
  NFTA_VERDICT_CHAIN,
  nfHeaderLength,
  plainComment,
  setComment,
} from "../codec/nft-numbers.ts";
import type { Reply } from "../message.ts";
import type { SetElement } from "./elements.ts";

export function readGeneration(reply: Reply): number {
  return numberOf(attributesOf(reply).get(NFTA_GEN_ID));
}

/** The number of chains, sets and other objects in the table. */
export function readTableUse(reply: Reply): number {
  return numberOf(attributesOf(reply).get(NFTA_TABLE_USE));
}

export interface SetEntry {
  readonly name: string;
  readonly flags: number;
  readonly keyType: number;
  readonly dataType: number;
  readonly comment: string | undefined;
}

export function readSet(reply: Reply): SetEntry {
  const attributes = attributesOf(reply);
  return {
    name: textOf(attributes.get(NFTA_SET_NAME)),
    flags: numberOf(attributes.get(NFTA_SET_FLAGS)),
    keyType: numberOf(attributes.get(NFTA_SET_KEY_TYPE)),
    dataType: numberOf(attributes.get(NFTA_SET_DATA_TYPE)),
    comment: commentIn(attributes.get(NFTA_SET_USERDATA), setComment),
  };
}

const hookNames = Object.keys(hooks) as readonly (keyof typeof hooks)[];

export interface ChainEntry {
  readonly table: string;
  readonly name: string;
  readonly type: string;
  /** `undefined` for a regular chain; without a name at a hook that no plan uses. */
  readonly hook: { readonly name: keyof typeof hooks | undefined; readonly priority: number } | undefined;
}

export function readChain(reply: Pick<Reply, "payload">): ChainEntry {
  const attributes = attributesOf(reply);
  const hook = attributes.get(NFTA_CHAIN_HOOK);
  const hooked = hook && readAttributes(hook);
  return {
    table: textOf(attributes.get(NFTA_CHAIN_TABLE)),
    name: textOf(attributes.get(NFTA_CHAIN_NAME)),
    type: textOf(attributes.get(NFTA_CHAIN_TYPE)),
    hook: hooked && {
      name: hookNames.find((name) => hooks[name] === numberOf(hooked.get(NFTA_HOOK_HOOKNUM))),
      priority: numberOf(hooked.get(NFTA_HOOK_PRIORITY)) | 0,
    },
  };
}

/** The number of rules in the chain plus the number of jumps to it. */
export function readChainUse(reply: Reply): number {
  return numberOf(attributesOf(reply).get(NFTA_CHAIN_USE));
}

export interface RuleEntry {
  readonly comment: string | undefined;
  /** The value of NFTA_RULE_EXPRESSIONS. */
  readonly expressions: Uint8Array;
}

export function readRule(reply: Pick<Reply, "payload">): RuleEntry {
  const attributes = attributesOf(reply);
  return {
    comment: commentIn(attributes.get(NFTA_RULE_USERDATA), plainComment),
    expressions: attributes.get(NFTA_RULE_EXPRESSIONS) ?? new Uint8Array(0),
  };
}

/** The elements in an answer. Throws `MalformedError`. */
export function readElements(reply: Reply): readonly SetElement[] {
  const list = attributesOf(reply).get(NFTA_SET_ELEM_LIST_ELEMENTS);
  return list === undefined ? [] : listAttributes(list).map(({ value }) => readElement(value));
}

function readElement(value: Uint8Array): SetElement {
  const attributes = readAttributes(value);
  const key = attributes.get(NFTA_SET_ELEM_KEY);
  const data = attributes.get(NFTA_SET_ELEM_DATA);
  const datum = data && readAttributes(data);
  const verdict = datum?.get(NFTA_DATA_VERDICT);
  const bytes = verdict
    ? { jump: textOf(readAttributes(verdict).get(NFTA_VERDICT_CHAIN)) }
    : datum?.get(NFTA_DATA_VALUE);
  const text = commentIn(attributes.get(NFTA_SET_ELEM_USERDATA), plainComment);
  const flags = attributes.get(NFTA_SET_ELEM_FLAGS);
  return {
    key: (key && readAttributes(key).get(NFTA_DATA_VALUE)) ?? new Uint8Array(0),
    ...(bytes && { data: bytes }),
    ...(flags && (be32Of(flags) & NFT_SET_ELEM_INTERVAL_END) !== 0 && { intervalEnd: true }),
    ...(text !== undefined && { comment: text }),
  };
}

function commentIn(data: Uint8Array | undefined, type: number): string | undefined {
  for (let at = 0; data && at + 2 <= data.length; at += 2 + (data[at + 1] as number)) {
    if (data[at] === type) return stringOf(data.subarray(at + 2, at + 2 + (data[at + 1] as number)));
  }
  return undefined;
}

function attributesOf({ payload }: Pick<Reply, "payload">): Attributes {
  return readAttributes(payload, nfHeaderLength);
}

function numberOf(value: Uint8Array | undefined): number {
  return value === undefined ? 0 : be32Of(value);
}

function textOf(value: Uint8Array | undefined): string {
  return value === undefined ? "" : stringOf(value);
}

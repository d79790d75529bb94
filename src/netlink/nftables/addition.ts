/** Decodes what a request of a transaction adds, so that an error can name it. */
import type { TableFamily } from "../../net/address.ts";
import { listAttributes, readAttributes, stringOf } from "../codec/attribute.ts";
import {
  NFT_MSG_NEWCHAIN,
  NFT_MSG_NEWRULE,
  NFT_MSG_NEWSETELEM,
  NFTA_RULE_CHAIN,
  NFTA_RULE_TABLE,
  NFTA_SET_NAME,
  nfHeaderLength,
} from "../codec/nft-numbers.ts";
import { familyOfNumber } from "../family.ts";
import type { Request } from "../message.ts";
import { readChain, readRule } from "./read.ts";

interface Addition {
  readonly family: TableFamily;
  readonly table: string;
}

export type NftAddition =
  | (Addition & { readonly adds: "chain"; readonly name: string; readonly type: string })
  | (Addition & {
      readonly adds: "rule";
      readonly chain: string;
      readonly comment: string | undefined;
      /** The names of its expressions. */
      readonly expressions: readonly string[];
    })
  | (Addition & { readonly adds: "elements"; readonly set: string });

/** `undefined` for a request that adds anything else. */
export function readAddition(request: Request): NftAddition | undefined {
  const attributes = readAttributes(request.payload, nfHeaderLength);
  const text = (type: number): string => stringOf(attributes.get(type) ?? new Uint8Array());
  const family = familyOfNumber(request.payload[0]) === 6 ? "ip6" : "ip";
  // The attribute of the table's name has the same number in all of them.
  const inTable = { family, table: text(NFTA_RULE_TABLE) } as const;
  switch (request.type) {
    case NFT_MSG_NEWCHAIN: {
      const { name, type } = readChain(request);
      return { ...inTable, adds: "chain", name, type };
    }
    case NFT_MSG_NEWRULE: {
      const { comment, expressions } = readRule(request);
      return { ...inTable, adds: "rule", chain: text(NFTA_RULE_CHAIN), comment, expressions: namesIn(expressions) };
    }
    case NFT_MSG_NEWSETELEM:
      return { ...inTable, adds: "elements", set: text(NFTA_SET_NAME) };
    default:
      return undefined;
  }
}

function namesIn(list: Uint8Array): readonly string[] {
  return listAttributes(list).map(({ value }) => stringOf(readAttributes(value).get(1) ?? new Uint8Array()));
}

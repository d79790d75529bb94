/** Tests whether tables and chains exist. A kernel without nf_tables has none. */
import type { Sys } from "../../host/sys.ts";
import type { Request } from "../../netlink/message.ts";
import { getChain, getTable } from "../../netlink/nftables/nftables.ts";
import type { NftTable } from "../../plan/nft.ts";
import { idOf } from "./owner.ts";
import { queryNft } from "./session.ts";

export interface NftChainName {
  readonly family: NftTable["family"];
  readonly table: string;
  readonly chain: string;
}

/** Whether one of the tables exists. */
export function hasNftTable(tables: readonly NftTable[], sys: Sys): boolean {
  return has(
    tables.map((table) => getTable(idOf(table))),
    sys,
  ).includes(true);
}

/** Whether a table, which may be foreign, has the chain. */
export function hasNftChain(family: NftTable["family"], table: string, chain: string, sys: Sys): boolean {
  return hasNftChains([{ family, table, chain }], sys).includes(true);
}

/** The same for several chains with one send. */
export function hasNftChains(chains: readonly NftChainName[], sys: Sys): readonly boolean[] {
  return has(
    chains.map(({ chain, ...table }) => getChain(table, chain)),
    sys,
  );
}

/** Throws if the kernel does not answer: a table wrongly taken for missing would never be removed. */
function has(questions: readonly Request[], sys: Sys): readonly boolean[] {
  const none = questions.map(() => false);
  return queryNft(sys, none, (session) =>
    session.askAll(questions, ["look into", "nf_tables"]).map((answer) => answer !== undefined),
  );
}

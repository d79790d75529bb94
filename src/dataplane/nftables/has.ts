/** Tests whether tables and chains exist. A kernel without nf_tables has none. */
import type { Sys } from "../../host/sys.ts";
import { getChain, getTable } from "../../netlink/nftables/nftables.ts";
import type { NftTable } from "../../plan/nft.ts";
import { queryNft } from "./session.ts";

/** A table, or a chain in it, also another program's. */
export interface NftName {
  readonly family: NftTable["family"];
  readonly table: string;
  readonly chain?: string;
}

/** Whether a table, which may be foreign, has the chain. */
export function hasNftChain(family: NftTable["family"], table: string, chain: string, sys: Sys): boolean {
  return hasNft([{ family, table, chain }], sys).includes(true);
}

/** Whether each exists, with one send. Throws if the kernel does not answer: a table wrongly taken for missing would never be removed. */
export function hasNft(objects: readonly NftName[], sys: Sys): readonly boolean[] {
  const questions = objects.map(({ chain, ...table }) =>
    chain === undefined ? getTable(table) : getChain(table, chain),
  );
  const none = questions.map(() => false);
  return queryNft(sys, none, (session) =>
    session.askAll(questions, ["look into", "nf_tables"]).map((answer) => answer !== undefined),
  );
}

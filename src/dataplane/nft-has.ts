/** Short questions to nf_tables. A kernel without nf_tables has nothing of it. */
import { CniError } from "../cni/error.ts";
import type { Sys } from "../host/sys.ts";
import type { Request } from "../netlink/message.ts";
import { getChain, getTable } from "../netlink/nftables.ts";
import type { NftTable } from "../plan/nft.ts";
import { idOf } from "./nft-owner.ts";
import { NftSession } from "./nft-session.ts";

/** Whether one of the tables is there. */
export function hasNftTable(tables: readonly NftTable[], sys: Sys): boolean {
  return has(
    tables.map((table) => getTable(idOf(table))),
    sys,
  );
}

/** Whether a table, also another program's, has the chain. */
export function hasNftChain(family: NftTable["family"], table: string, chain: string, sys: Sys): boolean {
  return has([getChain({ family, table }, chain)], sys);
}

function has(questions: readonly Request[], sys: Sys): boolean {
  const session = new NftSession(sys);
  try {
    return session.askAll(questions, "look into nf_tables").some((reply) => reply !== undefined);
  } catch (error) {
    if (error instanceof CniError) return false;
    throw error;
  } finally {
    session.close();
  }
}

/** Finds the sets, chains and rules of a shared table that are missing. Runs only after a refused transaction. */
import type { Request } from "../../netlink/message.ts";
import { flushChain, getChain } from "../../netlink/nftables/nftables.ts";
import { readChainUse } from "../../netlink/nftables/read.ts";
import type { NftChain, NftTable } from "../../plan/nft.ts";
import { idOf } from "./owner.ts";
import type { NftSession } from "./session.ts";
import { buildRequests, missingOf, ruleRequests } from "./table.ts";

/** The missing parts of a table. */
export interface MissingParts {
  /** Sets and chains to create. */
  readonly missing: NftTable;
  /** Existing chains with fewer rules than planned, because they were flushed. */
  readonly emptied: readonly NftChain[];
}

/** `undefined` if the table is complete. */
export function missingParts(session: NftSession, table: NftTable): MissingParts | undefined {
  const missing = missingOf(session, table);
  const there = table.chains.filter((chain) => !missing.chains.includes(chain));
  const found = session.askAll(
    there.map(({ name }) => getChain(idOf(table), name)),
    ["get", `chains of table ${table.family} ${table.name}`],
  );
  const emptied = there.filter(({ rules }, index) => {
    const reply = found[index];
    return reply !== undefined && readChainUse(reply) < rules.length;
  });
  return missing.sets.length + missing.chains.length + emptied.length === 0 ? undefined : { missing, emptied };
}

/** Whether the same parts are missing as before. */
export function isSameMissing(before: MissingParts | undefined, now: MissingParts | undefined): boolean {
  const names = ({ missing: { sets, chains }, emptied }: MissingParts): string =>
    [sets, chains, emptied].map((each) => each.map(({ name }) => name).join()).join("/");
  return before === undefined || now === undefined ? before === now : names(before) === names(now);
}

/** The requests that create the missing parts. Set IDs from `setId` on must be unused. */
export function repairRequests(table: NftTable, { missing, emptied }: MissingParts, setId: number): readonly Request[] {
  const id = idOf(table);
  return [
    ...buildRequests(missing, setId),
    ...emptied.flatMap((chain) => [flushChain(id, chain.name), ...ruleRequests(table, chain)]),
  ];
}

/** Shared tables: finds missing parts, and builds the requests that create them. */
import type { Request } from "../../netlink/message.ts";
import { dumpChains, dumpSets, newChain, newRule, newSet, newTable } from "../../netlink/nftables/nftables.ts";
import { readChain, readSet } from "../../netlink/nftables/read.ts";
import type { NftChain, NftTable } from "../../plan/nft.ts";
import { compileSet, compileStatements } from "./compile.ts";
import { idOf } from "./owner.ts";
import type { NftSession } from "./session.ts";

/** The table's sets and chains that do not exist. */
export function missingOf(session: NftSession, table: NftTable): NftTable {
  const sets = (session.dump(dumpSets(idOf(table)), ["list", `sets of table ${table.family} ${table.name}`]) ?? []).map(
    (reply) => readSet(reply).name,
  );
  const chains = chainsOf(session, table);
  return {
    ...table,
    sets: table.sets.filter(({ name }) => !sets.includes(name)),
    chains: table.chains.filter(({ name }) => !chains.includes(name)),
  };
}

/** The names of the chains that the table has. */
function chainsOf(session: NftSession, table: NftTable): readonly string[] {
  return (session.dump(dumpChains(idOf(table)), ["list", `chains of ${table.family}`]) ?? [])
    .map(readChain)
    .filter((chain) => chain.table === table.name)
    .map(({ name }) => name);
}

/** Creates the table with these sets and chains; refused with `EEXIST` if one of them exists. Set IDs from `setId` on must be unused. */
export function buildRequests(table: NftTable, setId: number): readonly Request[] {
  const id = idOf(table);
  return [
    newTable(id),
    ...table.sets.map((set, index) => newSet(id, compileSet(set), setId + index)),
    // All chains before any rule: a rule may jump to a chain that is listed after its own.
    ...table.chains.map((chain) => newChain(id, chain)),
    ...table.chains.flatMap((chain) => ruleRequests(table, chain)),
  ];
}

/** Appends the rules to a chain. */
export function ruleRequests(table: NftTable, { name, rules }: NftChain): readonly Request[] {
  return rules.map(({ statements, comment }) =>
    newRule(idOf(table), name, { expressions: compileStatements(table.family, statements), comment }),
  );
}

/**
 * Removes nf_tables elements by owner, and a table that then serves nobody.
 *
 * **A table is removed by compare-and-swap only**: the generation is read before the table is found unused, and the kernel refuses the
 * removal when anything was changed since. So no ADD loses its elements to a DEL that runs at the same time.
 */
import { CniError, code } from "../cni/error.ts";
import type { Sys } from "../host/sys.ts";
import { deleteChain, deleteTable, dumpSets, getSet, getTable } from "../netlink/nftables.ts";
import { readSet, readTableUse } from "../netlink/nftables-read.ts";
import type { NftTable } from "../plan/nft.ts";
import { nftOwnerSet, ownerSetPrefix } from "../plan/nft-owner.ts";
import { deleteOwned, findElement, idOf, type OwnedElement, readOwned } from "./nft-owner.ts";
import { EBUSY, ENOENT, isPassing, maxAttempts, NftSession } from "./nft-session.ts";
import { chainsOf } from "./nft-table.ts";
import { refusal } from "./refusal.ts";

/**
 * Removes what the owner has in these tables. Returns the elements it removed (without their data); that there are none is success.
 * Throws `CniError` 100 when the kernel refuses.
 */
export function removeNft(tables: readonly NftTable[], owner: string, sys: Sys): readonly OwnedElement[] {
  const name = nftOwnerSet(owner);
  return removeIndexes(
    tables,
    sys,
    (session) => {
      // Most owners have nothing: one question tells so of all tables.
      const questions = tables.map((table) => getSet(idOf(table), name));
      return session.askAll(questions, `look for set ${name}`).map((reply) => (reply === undefined ? [] : [name]));
    },
    (removed) => removed.length > 0,
  );
}

/**
 * Removes what belongs to owners of whom `isStale` says so, as their comment names them, and a table that serves nobody in any case: a DEL
 * that was killed between its two transactions leaves one. Returns the elements it removed.
 */
export function collectNft(
  tables: readonly NftTable[],
  isStale: (owner: { readonly comment: string; readonly setName: string }) => boolean,
  sys: Sys,
): readonly OwnedElement[] {
  return removeIndexes(
    tables,
    sys,
    (session) =>
      tables.map((table) =>
        (session.dump(dumpSets(idOf(table)), `list sets of table ${table.family} ${table.name}`) ?? [])
          .map(readSet)
          .filter(
            ({ name, comment }) =>
              name.startsWith(ownerSetPrefix) && isStale({ comment: comment ?? "", setName: name }),
          )
          .map(({ name }) => name),
      ),
    () => true,
  );
}

/**
 * Removes a table when `isUnused` says so and nothing in nf_tables has changed since it was asked. Returns whether the table is gone.
 * For a table whose users are known elsewhere; they must be known there before they apply.
 */
export function removeNftTable(table: Pick<NftTable, "family" | "name">, isUnused: () => boolean, sys: Sys): boolean {
  const session = new NftSession(sys);
  try {
    return dropTable(session, table, isUnused);
  } finally {
    session.close();
  }
}

/** `namesOf` tells for each table, in their order, which indexes go. */
function removeIndexes(
  tables: readonly NftTable[],
  sys: Sys,
  namesOf: (session: NftSession) => readonly (readonly string[])[],
  mayBeIdle: (removed: readonly OwnedElement[]) => boolean,
): readonly OwnedElement[] {
  const session = new NftSession(sys);
  try {
    const names = namesOf(session);
    return tables.flatMap((table, index) => {
      const removed = (names[index] ?? []).flatMap((name) => removeIndex(session, table, name) ?? []);
      if (mayBeIdle(removed)) dropUnused(session, table, removed);
      return removed;
    });
  } finally {
    session.close();
  }
}

/** Removes one index and all that it lists. `undefined` when there is no such index. */
function removeIndex(session: NftSession, table: NftTable, setName: string): readonly OwnedElement[] | undefined {
  const what = `remove set ${table.family} ${table.name} ${setName}`;
  for (let attempt = 0; attempt < maxAttempts; attempt++) {
    const owned = readOwned(session, table, setName);
    if (owned === undefined) return undefined;
    // The first time without looking. A single element that a hand removed refuses the whole.
    const present = attempt === 0 ? owned : owned.filter((one) => findElement(session, table, one) !== undefined);
    const refused = session.commit(deleteOwned(table, setName, present));
    if (refused.length === 0) return owned;
    const fatal = refused.find(({ errno }) => !isPassing(errno) && errno !== ENOENT);
    if (fatal) throw refusal(what, fatal);
  }
  throw new CniError(code.refused, `cannot ${what}: nf_tables changed during each of ${maxAttempts} attempts`);
}

/** The chains that only the removed elements jumped to, then the table if nobody's index is left in it. */
function dropUnused(session: NftSession, table: NftTable, removed: readonly OwnedElement[]): void {
  const verdictMaps = table.sets.filter(({ data }) => data?.[0] === "verdict").map(({ name }) => name);
  if (removed.some(({ set }) => verdictMaps.includes(set))) dropChains(session, table);
  dropTable(session, table, () => {
    const reply = session.ask(getTable(idOf(table)), `get table ${table.family} ${table.name}`);
    // One number tells, however many attachments there are, that somebody is left.
    if (reply === undefined || readTableUse(reply) > table.sets.length + table.chains.length) return false;
    const sets = session.dump(dumpSets(idOf(table)), `list sets of table ${table.family} ${table.name}`) ?? [];
    return !sets.some((set) => readSet(set).name.startsWith(ownerSetPrefix));
  });
}

/** Chains beside the table's own: each belongs to the elements that jump to it, and is busy while there is one. */
function dropChains(session: NftSession, table: NftTable): void {
  const own = table.chains.map(({ name }) => name);
  for (const chain of chainsOf(session, table).filter((name) => !own.includes(name))) {
    const [refused] = session.commit([deleteChain(idOf(table), chain)]);
    if (refused && !isPassing(refused.errno) && refused.errno !== EBUSY && refused.errno !== ENOENT) {
      throw refusal(`delete chain ${table.family} ${table.name} ${chain}`, refused);
    }
  }
}

function dropTable(session: NftSession, table: Pick<NftTable, "family" | "name">, isUnused: () => boolean): boolean {
  for (let attempt = 0; attempt < maxAttempts; attempt++) {
    const generation = session.generation();
    if (!isUnused()) return false;
    const [refused] = session.commit([deleteTable({ family: table.family, table: table.name })], generation);
    if (refused === undefined || refused.errno === ENOENT) return true;
    if (!isPassing(refused.errno)) throw refusal(`delete table ${table.family} ${table.name}`, refused);
  }
  // Others change nf_tables all the time; one of them, or the next DEL, removes the table.
  return false;
}

/**
 * Removes nf_tables elements by owner, and a table that is then unused.
 *
 * **A table is removed by compare-and-swap only**: the ruleset's generation is read before the test for use, and the kernel refuses the removal
 * if anything changed since. So a concurrent DEL cannot remove the elements of an ADD.
 *
 * A kernel without nf_tables has nothing to remove.
 */
import { runEvery } from "../../errors/run-every.ts";
import type { Sys } from "../../host/sys.ts";
import type { Reply } from "../../netlink/message.ts";
import {
  deleteChain,
  deleteTable,
  dumpRules,
  dumpSets,
  getChain,
  getSet,
  getTable,
} from "../../netlink/nftables/nftables.ts";
import { readChainUse, readSet, readTableUse } from "../../netlink/nftables/read.ts";
import { type DataType, decodeFields } from "../../netlink/nftables/type.ts";
import type { NftTable, OwnedElement, RemovedElement } from "../../plan/nft.ts";
import { nftOwnerSet, ownerSetPrefix } from "../../plan/nft-owner.ts";
import { KernelError, UnstableError } from "../errors.ts";
import type { StaleOwners } from "../stale-owners.ts";
import { deleteOwned, findElement, idOf, readOwned } from "./owner.ts";
import { EBUSY, EEXIST, ENOENT, isTransient, maxAttempts, type NftSession, queryNft } from "./session.ts";
import { findElements, moveRequests, moveWaiting, moveWaitingIn } from "./waiting.ts";

/**
 * Removes the owner's elements from these tables. Returns the removed elements; having none is success.
 * Throws `KernelError` if the kernel refuses.
 */
export function removeNft(tables: readonly NftTable[], owner: string, sys: Sys): readonly RemovedElement[] {
  const name = nftOwnerSet(owner);
  return removeIndexes(tables, sys, (session) => {
    // Most owners have no elements: one send finds that out for all tables.
    const questions = tables.flatMap((table) => [getTable(idOf(table)), getSet(idOf(table), name)]);
    const answers = session.askAll(questions, ["look for", `set ${name}`]);
    return tables.map((table, at) => {
      const [there, index] = [answers[2 * at], answers[2 * at + 1]];
      if (index !== undefined) return { names: [name], mayBeIdle: true };
      return { names: [], mayBeIdle: there !== undefined && !hasOwners(there, table) };
    });
  });
}

/** Tables, of which GC removes the elements of stale owners. */
export interface StaleElements {
  readonly kind: "nft-elements";
  readonly tables: readonly NftTable[];
}

/** Returns the removed elements. Moves elements that wait for a free key, which a killed DEL may have left. */
export function collectNft(
  { tables }: StaleElements,
  { prefix, except }: StaleOwners,
  sys: Sys,
): readonly RemovedElement[] {
  const kept = new Set([...except].map(nftOwnerSet));
  const removed = removeIndexes(tables, sys, (session) =>
    tables.map((table) => {
      const names = (session.dump(dumpSets(idOf(table)), ["list", `sets of table ${table.family} ${table.name}`]) ?? [])
        .map(readSet)
        .filter(
          ({ name, comment = "" }) => name.startsWith(ownerSetPrefix) && comment.startsWith(prefix) && !kept.has(name),
        )
        .map(({ name }) => name);
      return { names, mayBeIdle: true };
    }),
  );
  moveWaitingIn(
    tables.filter(({ sets }) => sets.some(({ waitsFor }) => waitsFor !== undefined)),
    sys,
  );
  return removed;
}

/**
 * Removes each table if `isUnused` is true and nothing in nf_tables has changed since that call. Returns whether none exists any longer.
 * For tables whose users are recorded elsewhere; they must be recorded before they apply. **All over one socket**: closing any socket after a
 * table was deleted waits as long as closing the one that deleted it.
 */
export function removeNftTables(
  tables: readonly Pick<NftTable, "family" | "name">[],
  isUnused: () => boolean,
  sys: Sys,
): boolean {
  return queryNft(sys, true, (session) => {
    // Look first: aborting a transaction, because a table does not exist, would take 13 ms.
    const questions = tables.map(({ family, name }) => getTable({ family, table: name }));
    const found = session.askAll(questions, ["look for", "tables"]);
    let areGone = true;
    const remove = (table: Pick<NftTable, "family" | "name">) => () => {
      if (dropTable(session, table, isUnused)) session.leaveOpen();
      else areGone = false;
    };
    runEvery(tables.filter((_, at) => found[at] !== undefined).map(remove));
    return areGone;
  });
}

/** What to remove from a table. */
interface Removal {
  /** The names of the indexes to remove. */
  readonly names: readonly string[];
  /** Whether the table may then be unused; also if a call was killed between its two transactions. */
  readonly mayBeIdle: boolean;
}

/** `removalsOf` returns the removals of each table, in order. */
function removeIndexes(
  tables: readonly NftTable[],
  sys: Sys,
  removalsOf: (session: NftSession) => readonly Removal[],
): readonly RemovedElement[] {
  return queryNft(sys, [], (session): readonly RemovedElement[] => {
    const removals = removalsOf(session);
    return tables.flatMap((table, at) => {
      const { names, mayBeIdle } = removals[at] as Removal;
      const removed = names.flatMap((name) => removeIndex(session, table, name) ?? []);
      // An attachment that began to wait during this removal missed the free key, and this removal missed the attachment.
      if (removed.some(({ set }) => isAwaited(table, set))) moveWaiting(session, table);
      if (mayBeIdle) dropIdle(session, table);
      return removed;
    });
  });
}

function isAwaited({ sets }: NftTable, map: string): boolean {
  return sets.some(({ waitsFor }) => waitsFor?.map === map);
}

/**
 * Removes one index and the elements that it lists, and the chains that no other element jumps to, and moves the elements that waited for these
 * keys, in one transaction: a killed process leaves all of it or nothing. `undefined` if there is no such index.
 */
function removeIndex(session: NftSession, table: NftTable, setName: string): readonly RemovedElement[] | undefined {
  const what = ["remove", `set ${table.family} ${table.name} ${setName}`] as const;
  const busy = new Set<string>();
  let known: readonly RemovedElement[] | undefined;
  for (let attempt = 0; attempt < maxAttempts; attempt++) {
    const owned = readOwned(session, table, setName);
    // It existed, but the answer to its removal was lost.
    if (owned === undefined) return known;
    // Without looking on the first attempt. A single element that was removed externally, or no longer waits, aborts the transaction.
    const present = attempt === 0 ? owned : findElements(session, table, setName, owned);
    known = withData(session, table, present);
    const jumps = jumpsOf(session, table, present);
    for (const [chain, own] of jumps) if (countJumps(session, table, chain) > own) busy.add(chain);
    const chains = [...jumps.keys()].filter((chain) => !busy.has(chain));
    const removals = [...deleteOwned(table, setName, present), ...moveRequests(session, table, present)];
    const refused = session.commit([...removals, ...chains.map((chain) => deleteChain(idOf(table), chain))]);
    if (refused.length === 0) {
      dropUnused(session, table, busy);
      return known;
    }
    // If elements are elsewhere than assumed, they may be the ones that jump to the chain.
    const isAllFound = refused.every(({ errno }) => errno === EBUSY);
    for (const { index } of isAllFound ? refused : []) busy.add(chains[index - removals.length] ?? "");
    const fatal = refused.find(
      ({ index, errno }) => !isExpected(errno) && !(errno === EBUSY && index >= removals.length),
    );
    if (fatal) throw new KernelError(what, fatal);
  }
  throw new UnstableError(what, `nf_tables changed during each of ${maxAttempts} attempts`);
}

/** Adds what the elements map to; one that no longer exists has no data. */
function withData(session: NftSession, table: NftTable, elements: readonly OwnedElement[]): readonly RemovedElement[] {
  return elements.map(({ set, element: { key } }) => {
    const types = table.sets.find(({ name }) => name === set)?.data;
    const found =
      types && types[0] !== "verdict" ? findElement(session, table, { set, element: { key } })?.data : undefined;
    const data = found instanceof Uint8Array ? decodeFields(types as readonly DataType[], found) : undefined;
    return { table, set, element: { key, ...(data && { data }) } };
  });
}

function isExpected(errno: number): boolean {
  return isTransient(errno) || errno === ENOENT || errno === EEXIST;
}

/** The chains, other than the table's own, that the elements jump to, with the number of these elements. */
function jumpsOf(session: NftSession, table: NftTable, elements: readonly OwnedElement[]): ReadonlyMap<string, number> {
  const verdictMaps = table.sets.filter(({ data }) => data?.[0] === "verdict").map(({ name }) => name);
  const jumps = new Map<string, number>();
  for (const one of elements.filter(({ set }) => verdictMaps.includes(set))) {
    const data = findElement(session, table, one)?.data;
    if (data !== undefined && "jump" in data) jumps.set(data.jump, (jumps.get(data.jump) ?? 0) + 1);
  }
  return jumps;
}

/**
 * The number of jumps to a chain; 0 if it is missing. The kernel would refuse to delete a chain in use, but aborting the transaction would take
 * 13 ms.
 */
function countJumps(session: NftSession, table: NftTable, chain: string): number {
  const what = ["read", `chain ${table.family} ${table.name} ${chain}`] as const;
  const found = session.ask(getChain(idOf(table), chain), what);
  if (found === undefined) return 0;
  return readChainUse(found) - (session.dump(dumpRules(idOf(table), chain), what) ?? []).length;
}

/** Removes chains that were left because other elements jumped to them, if none does by now: two concurrent calls may each see the other's element. */
function dropUnused(session: NftSession, table: NftTable, chains: ReadonlySet<string>): void {
  for (const chain of chains) {
    // If it is refused, the chain is in use again, or no longer exists.
    if (countJumps(session, table, chain) === 0) session.commit([deleteChain(idOf(table), chain)]);
  }
}

/** Removes the table if it has no owner's index. */
function dropIdle(session: NftSession, table: NftTable): void {
  dropTable(session, table, () => {
    const reply = session.ask(getTable(idOf(table)), ["get", `table ${table.family} ${table.name}`]);
    if (reply === undefined || hasOwners(reply, table, maxLookedAt)) return false;
    const sets = session.dump(dumpSets(idOf(table)), ["list", `sets of table ${table.family} ${table.name}`]) ?? [];
    return !sets.some((set) => readSet(set).name.startsWith(ownerSetPrefix));
  });
}

/** A table with at most this many objects beyond its own is searched for owners' indexes. */
const maxLookedAt = 16;

/** A single count shows, for any number of attachments, whether the table has an owner's index. */
function hasOwners(reply: Reply, { sets, chains }: NftTable, others = 0): boolean {
  return readTableUse(reply) > sets.length + chains.length + others;
}

function nameOf({ family, name }: Pick<NftTable, "family" | "name">): string {
  return `table ${family} ${name}`;
}

function dropTable(session: NftSession, table: Pick<NftTable, "family" | "name">, isUnused: () => boolean): boolean {
  for (let attempt = 0; attempt < maxAttempts; attempt++) {
    const generation = session.generation();
    if (!isUnused()) return false;
    const [refused] = session.commit([deleteTable({ family: table.family, table: table.name })], generation);
    if (refused === undefined || refused.errno === ENOENT) return true;
    if (!isTransient(refused.errno)) throw new KernelError(["delete", nameOf(table)], refused);
  }
  // Other programs keep changing nf_tables; one of our calls, or the next DEL, removes the table.
  return false;
}

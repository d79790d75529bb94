/**
 * Applies the nf_tables resources of a plan in one transaction.
 *
 *     does the table exist? ──no──> create it and the elements in one transaction
 *       │ yes
 *     elements only ──ok──> done                              the common case: two sends, two receives
 *       │ ENOENT: a shared object is missing
 *       ├──> look; create the missing objects and the elements in one transaction (EEXIST: another process was faster, look again)
 *       │      └ ENOENT again, with the same objects missing as before: the kernel lacks a kind of chain or expression
 *       │ EEXIST on a shared element: it overlaps an older one, or maps to something else
 *       ├──> replace all elements of the shared sets
 *       │ EEXIST on the owner's index: a repeated ADD
 *       ├──> the same elements, all present: done; otherwise replace the old ones by the new ones in one transaction
 *       │ EEXIST on an element: another attachment has it
 *       └──> `NftConflict`
 */
import type { Sys } from "../../host/sys.ts";
import type { Request } from "../../netlink/message.ts";
import { flushSet, newElements } from "../../netlink/nftables/elements.ts";
import { getTable } from "../../netlink/nftables/nftables.ts";
import type { NftElements, NftResource, NftTable, OwnedElement } from "../../plan/nft.ts";
import { nftOwnerComment, nftOwnerSet } from "../../plan/nft-owner.ts";
import { KernelError, NftConflict } from "../errors.ts";
import { compileElement } from "./compile.ts";
import { missingFeature } from "./missing-feature.ts";
import { isSameMissing, missingParts, repairRequests } from "./missing-parts.ts";
import { addOwned, chunks, deleteOwned, findElement, idOf, readOwned } from "./owner.ts";
import { removeNft } from "./remove.ts";
import { EBUSY, EEXIST, ENOENT, isTransient, maxAttempts, NftSession, type Refused } from "./session.ts";
import { isSameData, statesOf, type TableState } from "./state.ts";
import { findElements, moveRequests } from "./waiting.ts";

export interface AppliedNft {
  /** The tables in which elements of the owner wait for keys. */
  readonly waiting: readonly NftTable[];
  /** Rolls back what the call created for the owner. */
  undo(): void;
}

/**
 * Makes nf_tables hold the resources. A repeated call is harmless; one with other elements replaces the owner's earlier ones in the same
 * transaction. Throws `NftConflict` if another owner has an element, `KernelError` if the kernel refuses.
 */
export function applyNft(resources: readonly NftResource[], owner: string, sys: Sys): AppliedNft {
  const states = statesOf(resources);
  // Shared objects are not rolled back: others may rely on them by now.
  const owned = states.filter((state) => state.owned.length > 0).map(({ table }) => table);
  const waiting = states.filter(hasWaiting).map(({ table }) => table);
  const nothing = { waiting, undo: () => {} };
  if (states.length === 0) return nothing;
  const session = new NftSession(sys);
  try {
    lookForTables(session, states);
    let refused: readonly Refused[] = [];
    for (let attempt = 0; attempt < maxAttempts; attempt++) {
      const todo = states.filter((state) => !isDone(session, state, owner));
      if (todo.length === 0) return nothing;
      const requests = todo.flatMap((state, index) => requestsOf(state, owner, index));
      refused = session.commit(requests);
      if (refused.length === 0) return { waiting, undo: () => void removeNft(owned, owner, sys) };
      learn(session, todo, owner, { requests, refused });
    }
    throw new KernelError(["apply", `nf_tables in ${maxAttempts} attempts`], refused[0] as Refused);
  } finally {
    session.close();
  }
}

function hasWaiting({ table, owned }: TableState): boolean {
  return owned.some((one) => table.sets.some(({ name, waitsFor }) => waitsFor !== undefined && name === one.set));
}

/**
 * Looks for the tables, so that the first attempt creates missing ones, as on a node without pods. To learn from a refusal that a table is missing
 * would take 13 ms, because the kernel waits for a grace period when it aborts a transaction (nf_tables_abort); a question takes 20 µs.
 */
function lookForTables(session: NftSession, states: readonly TableState[]): void {
  const questions = states.map(({ table }) => getTable(idOf(table)));
  const found = session.askAll(questions, ["look for", "tables"]);
  for (const [index, state] of states.entries()) {
    if (found[index] === undefined) state.missing = missingParts(session, state.table);
  }
}

/** Whether a table is up to date: nothing is missing, and the owner's elements are unchanged and all present. */
function isDone(session: NftSession, { table, owned, former, missing }: TableState, owner: string): boolean {
  if (former === undefined || missing !== undefined) return false;
  const had = new Set(former.map(nameOf));
  const comment = nftOwnerComment(owner);
  return (
    had.size === owned.length && owned.every((one) => had.has(nameOf(one)) && isSame(session, table, one, comment))
  );
}

function isSame(session: NftSession, table: NftTable, owned: OwnedElement, comment: string): boolean {
  const set = table.sets.find(({ name }) => name === owned.set);
  const found = findElement(session, table, owned);
  const [wanted] = set ? compileElement(set, owned.element) : [];
  return found?.comment === comment && isSameData(found.data, wanted?.data);
}

function requestsOf(state: TableState, owner: string, index: number): readonly Request[] {
  const { table, shared, owned, missing, former, moves = [], outdated } = state;
  // Each new set in a batch needs an ID that no other has.
  const setId = index * 1000 + 1;
  return [
    ...(missing ? repairRequests(table, missing, setId + 1) : []),
    ...shared.filter((one) => isToWrite(one, state)).flatMap((one) => sharedRequests(table, one, outdated === true)),
    ...(former ? deleteOwned(table, nftOwnerSet(owner), former) : []),
    ...moves,
    ...(owned.length > 0 ? addOwned(table, owner, owned, setId) : []),
  ];
}

function isToWrite({ set, onlyIfOutdated }: NftElements, { missing, outdated }: TableState): boolean {
  return !onlyIfOutdated || outdated === true || missing?.missing.sets.some(({ name }) => name === set) === true;
}

/**
 * Adds shared elements. If the existing ones are `outdated`, it replaces all of them, because the kernel refuses overlapping prefixes. Not
 * always: a transaction that removes an element costs a grace period, 10 ms.
 */
function sharedRequests(table: NftTable, { set: name, elements }: NftElements, outdated: boolean): readonly Request[] {
  const definition = table.sets.find((one) => one.name === name);
  if (definition === undefined) throw new Error(`table ${table.name} of the plan has no set ${name}`);
  const set = { ...idOf(table), set: name };
  const compiled = elements.flatMap((element) => compileElement(definition, element));
  const additions = chunks(compiled).map((part) => newElements(set, part, false));
  return outdated ? [flushSet(set), ...additions] : additions;
}

/** A transaction that was aborted. */
interface Refusal {
  readonly requests: readonly Request[];
  readonly refused: readonly Refused[];
}

/** Finds out what the next attempt must do. Throws if no further attempt can succeed. */
function learn(session: NftSession, states: readonly TableState[], owner: string, transaction: Refusal): void {
  const { refused } = transaction;
  throwFatal(transaction);
  // If a shared object is missing, every request that names it was refused as well.
  const incomplete = refused.some(({ errno }) => errno === ENOENT || errno === EEXIST || errno === EBUSY);
  if (!incomplete) return;
  let sameAsBefore = true;
  for (const state of states) {
    const missing = missingParts(session, state.table);
    sameAsBefore &&= isSameMissing(state.missing, missing);
    state.missing = missing;
    state.outdated = true;
    state.former = formerOf(session, state, owner);
    state.moves = state.former && moveRequests(session, state.table, obsolete(state.former, state.owned));
    if (refused.some(({ errno }) => errno === EEXIST || errno === EBUSY)) refuseConflicts(session, state, owner);
  }
  // The refused transaction would have created everything missing, so the kernel lacks a feature.
  if (sameAsBefore) throwMissingFeature(transaction);
}

function throwFatal({ requests, refused }: Refusal): void {
  const fatal = refused.find(({ errno }) => !isTransient(errno) && ![ENOENT, EEXIST, EBUSY].includes(errno));
  if (fatal === undefined) return;
  const request = requests[fatal.index];
  throw (request && missingFeature(request, fatal)) ?? new KernelError(["apply", "nf_tables"], fatal);
}

function throwMissingFeature({ requests, refused }: Refusal): void {
  for (const one of refused) {
    const request = requests[one.index];
    const missing = request && missingFeature(request, one);
    if (missing) throw missing;
  }
}

/** The elements in the owner's index that still exist: an administrator may have removed some. */
function formerOf(session: NftSession, { table }: TableState, owner: string): readonly OwnedElement[] | undefined {
  const index = nftOwnerSet(owner);
  const former = readOwned(session, table, index);
  return former && findElements(session, table, index, former);
}

/** The owner's former elements that are no longer wanted. */
function obsolete(former: readonly OwnedElement[], owned: readonly OwnedElement[]): readonly OwnedElement[] {
  const wanted = new Set(owned.map(nameOf));
  return former.filter((one) => !wanted.has(nameOf(one)));
}

function nameOf({ set, element }: OwnedElement): string {
  return `${set} ${element.key.join(" . ")}`;
}

function refuseConflicts(session: NftSession, { table, owned, former = [] }: TableState, owner: string): void {
  const comment = nftOwnerComment(owner);
  for (const one of owned) {
    const found = findElement(session, table, one);
    const own = former.some(({ set, element }) => set === one.set && element.key.join() === one.element.key.join());
    if (found === undefined || own || found.comment === comment) continue;
    const data = found.data && !("jump" in found.data) ? found.data : undefined;
    throw new NftConflict(table, one.set, one.element, found.comment, data);
  }
}

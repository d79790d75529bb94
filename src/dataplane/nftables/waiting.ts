/**
 * Elements that wait for a key of another map (`waitsFor` of a set), and move there as soon as it is free:
 *
 *     waiting_ports  tcp . 8080 . 10.0.0.6 : 10.0.0.6 . 80  ── tcp . 8080 is removed ──>  ports  tcp . 8080 : 10.0.0.6 . 80
 *
 * The removal of the element that had the key moves the next one in the same transaction. An element is always in exactly one of the two maps.
 * Its owner's index keeps listing it as waiting, so a removal looks up where it is. A transaction that expects it in the waiting map fails once
 * it has moved.
 */
import type { Sys } from "../../host/sys.ts";
import type { Request } from "../../netlink/message.ts";
import { deleteElements, dumpElements, newElements, type SetElement } from "../../netlink/nftables/elements.ts";
import { getSet } from "../../netlink/nftables/nftables.ts";
import { readElements, readSet } from "../../netlink/nftables/read.ts";
import { type DataType, decodeFields, typeLength } from "../../netlink/nftables/type.ts";
import type { NftElement, NftSetDefinition, NftTable, OwnedElement } from "../../plan/nft.ts";
import { KernelError } from "../errors.ts";
import { findElement, idOf } from "./owner.ts";
import { EEXIST, ENOENT, isTransient, maxAttempts, type NftSession, queryNft } from "./session.ts";

/** The requests that move elements waiting for keys of `leaving`; with `undefined`, for any free key. */
export function moveRequests(
  session: NftSession,
  table: NftTable,
  leaving: readonly OwnedElement[] | undefined,
): readonly Request[] {
  return table.sets.flatMap((set) => {
    const map = set.waitsFor?.map;
    if (map === undefined || set.waitsFor?.behind !== undefined) return [];
    const freed = leaving?.filter((one) => one.set === map).map(({ element }) => textOf(element.key));
    if (freed?.length === 0) return [];
    const taken = new Set<string>();
    const moving = waitingIn(session, table, set).filter(({ key }) => {
      const text = textOf(awaitedKey(set, key));
      // The owner's other elements may be among those that are removed.
      if (leaving?.some((one) => one.set === set.name && textOf(one.element.key) === textOf(keyTexts(set, key))))
        return false;
      const isFree = freed
        ? freed.includes(text)
        : findElement(session, table, { set: map, element: { key: awaitedKey(set, key) } }) === undefined;
      if (!isFree || taken.has(text)) return false;
      taken.add(text);
      return true;
    });
    if (moving.length === 0) return [];
    const keys = new Set(moving.map(({ key }) => key.join()));
    const followers = table.sets.filter(({ waitsFor }) => waitsFor?.behind === set.name);
    return [
      ...move(table, set, moving),
      ...followers.flatMap((one) =>
        move(
          table,
          one,
          waitingIn(session, table, one).filter(({ key }) => keys.has(key.join())),
        ),
      ),
    ];
  });
}

/** Moves elements that wait for a free key, after a concurrent wait and release missed each other. */
export function moveWaiting(session: NftSession, table: NftTable): void {
  for (let attempt = 0; attempt < maxAttempts; attempt++) {
    const moves = moveRequests(session, table, undefined);
    if (moves.length === 0) return;
    const fatal = session
      .commit(moves)
      .find(({ errno }) => errno !== ENOENT && errno !== EEXIST && !isTransient(errno));
    if (fatal) throw new KernelError(["move", `what waits in table ${table.family} ${table.name}`], fatal);
  }
}

/** Moves elements that wait for a free key, in each of these tables. Throws `KernelError` if the kernel refuses. */
export function moveWaitingIn(tables: readonly NftTable[], sys: Sys): void {
  if (tables.length === 0) return;
  queryNft(sys, undefined, (session) => {
    for (const table of tables) moveWaiting(session, table);
  });
}

/** Finds the elements that an index lists in their maps; omits those that no longer exist. */
export function findElements(
  session: NftSession,
  table: NftTable,
  indexName: string,
  listed: readonly OwnedElement[],
): readonly OwnedElement[] {
  let comment: string | undefined;
  return listed.flatMap((one) => {
    if (findElement(session, table, one) !== undefined) return [one];
    const set = table.sets.find(({ name }) => name === one.set);
    if (set?.waitsFor === undefined) return [];
    const moved = { set: set.waitsFor.map, element: { key: one.element.key.slice(0, -1) } };
    const reply =
      comment === undefined ? session.ask(getSet(idOf(table), indexName), ["get", `set ${indexName}`]) : undefined;
    comment ??= reply && readSet(reply).comment;
    return comment !== undefined && findElement(session, table, moved)?.comment === comment ? [moved] : [];
  });
}

function waitingIn(session: NftSession, table: NftTable, set: NftSetDefinition): readonly SetElement[] {
  const replies = session.dump(dumpElements({ ...idOf(table), set: set.name }), [
    "list",
    `${set.name} of ${table.name}`,
  ]);
  return (replies ?? []).flatMap(readElements);
}

/** The kernel refuses it with ENOENT if one of them has moved already. */
function move(table: NftTable, set: NftSetDefinition, elements: readonly SetElement[]): readonly Request[] {
  const map = set.waitsFor?.map;
  if (map === undefined || elements.length === 0) return [];
  const last = set.key.at(-1) as DataType;
  const moved = elements.map((element) => ({ ...element, key: element.key.subarray(0, -typeLength([last])) }));
  return [
    deleteElements(
      { ...idOf(table), set: set.name },
      elements.map(({ key }) => ({ key })),
    ),
    newElements({ ...idOf(table), set: map }, moved, true),
  ];
}

function awaitedKey(set: NftSetDefinition, key: Uint8Array): NftElement["key"] {
  return keyTexts(set, key).slice(0, -1);
}

function keyTexts(set: NftSetDefinition, key: Uint8Array): NftElement["key"] {
  return decodeFields(set.key as readonly DataType[], key);
}

function textOf(key: NftElement["key"]): string {
  return key.join(" . ");
}

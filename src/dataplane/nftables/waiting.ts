/**
 * Elements that wait for a key of another map (`waitsFor` of a set), and move there as soon as it is free:
 *
 *     waiting_ports  tcp . 8080 . 10.0.0.6 : 10.0.0.6 . 80  ── tcp . 8080 goes ──>  ports  tcp . 8080 : 10.0.0.6 . 80
 *
 * Who removes the element that had the key moves the next one in the same transaction. An element is in one of the two maps at any time: its
 * owner's index lists it as waiting for ever, and who removes the owner's elements finds out where it is. A transaction that takes it for waiting is
 * refused once it has moved.
 */
import type { Request } from "../../netlink/message.ts";
import { deleteElements, dumpElements, newElements, type SetElement } from "../../netlink/nftables/elements.ts";
import { getSet } from "../../netlink/nftables/nftables.ts";
import { readElements, readSet } from "../../netlink/nftables/read.ts";
import { type DataType, decodeFields, typeLength } from "../../netlink/nftables/type.ts";
import type { NftElement, NftSetDefinition, NftTable, OwnedElement } from "../../plan/nft.ts";
import { KernelError } from "../errors.ts";
import { findElement, idOf } from "./owner.ts";
import { EEXIST, ENOENT, isTransient, maxAttempts, type NftSession } from "./session.ts";

/** What moves the elements that wait for a key which these elements leave; with `undefined`, for any key that is free. */
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
      // Its own other elements may be among those that leave.
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

/** Moves what waits for a key that is free: for whoever has begun to wait, or let a key go, while another did the opposite. */
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

/** Where the elements are that an index lists, without those that are gone. */
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

/** Refused with ENOENT when one of them waits no longer. */
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

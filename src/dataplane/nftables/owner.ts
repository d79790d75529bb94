/**
 * The index of owners in the kernel: each table has one set per attachment, which lists the attachment's elements as text.
 *
 *     set owner_net1/c1/eth0 {                       found by name, without a file and without a configuration
 *       type mark
 *       comment "tortie:net1/c1/eth0"
 *       elements = { 1 comment "ports tcp . 8080", 2 comment "hairpin 10.0.0.5 . 10.0.0.5" }
 *     }
 *
 * It is written and removed in the same transaction as the elements that it lists, so the two always agree.
 */
import type { Request } from "../../netlink/message.ts";
import {
  deleteElements,
  dumpElements,
  getElement,
  newElements,
  type SetElement,
} from "../../netlink/nftables/elements.ts";
import { deleteSet, newSet } from "../../netlink/nftables/nftables.ts";
import { readElements } from "../../netlink/nftables/read.ts";
import { encodeFields } from "../../netlink/nftables/type.ts";
import type { NftElement, NftSetDefinition, NftTable, OwnedElement } from "../../plan/nft.ts";
import { nftOwnerComment, nftOwnerSet } from "../../plan/nft-owner.ts";
import { compileElement } from "./compile.ts";
import type { NftSession } from "./session.ts";

/** An attribute's length has 16 bits; an element with its comment takes up to 250 bytes. */
const elementsPerMessage = 200;

/** The requests that add an owner's elements and their index. */
export function addOwned(
  table: NftTable,
  owner: string,
  owned: readonly OwnedElement[],
  setId: number,
): readonly Request[] {
  const comment = nftOwnerComment(owner);
  const name = nftOwnerSet(owner);
  const lines: SetElement[] = owned.map(({ set, element }, index) => ({
    key: encodeFields(["mark"], [String(index + 1)]),
    comment: `${set} ${element.key.join(" . ")}`,
  }));
  return [
    newSet(idOf(table), { name, key: ["mark"], comment, size: Math.max(1, owned.length) }, setId),
    ...chunks(lines).map((part) => newElements({ ...idOf(table), set: name }, part, true)),
    ...bySet(table, owned).flatMap(([set, elements]) =>
      chunks(elements.flatMap((element) => compileElement(set, element, comment))).map((part) =>
        newElements({ ...idOf(table), set: set.name }, part, true),
      ),
    ),
  ];
}

/** The requests that remove an owner's elements and their index. */
export function deleteOwned(table: NftTable, setName: string, owned: readonly OwnedElement[]): readonly Request[] {
  return [
    ...bySet(table, owned).flatMap(([set, elements]) =>
      chunks(elements.flatMap((element) => compileElement(set, { key: element.key }))).map((part) =>
        deleteElements({ ...idOf(table), set: set.name }, part),
      ),
    ),
    deleteSet(idOf(table), setName),
  ];
}

/** The elements that an index lists, without their data; `undefined` if there is no such index. */
export function readOwned(session: NftSession, table: NftTable, setName: string): readonly OwnedElement[] | undefined {
  const replies = session.dump(dumpElements({ ...idOf(table), set: setName }), [
    "list",
    `set ${table.family} ${table.name} ${setName}`,
  ]);
  return replies?.flatMap(readElements).map(({ comment = "" }) => {
    const space = comment.indexOf(" ");
    return { set: comment.slice(0, space), element: { key: comment.slice(space + 1).split(" . ") } };
  });
}

/** The element in the kernel. */
export function findElement(
  session: NftSession,
  table: NftTable,
  { set, element }: OwnedElement,
): SetElement | undefined {
  const definition = table.sets.find(({ name }) => name === set);
  const [wanted] = definition ? compileElement(definition, { key: element.key }) : [];
  if (wanted === undefined) return undefined;
  const reply = session.ask(getElement({ ...idOf(table), set }, wanted.key), [
    "get",
    `element ${table.family} ${table.name} ${set} { ${element.key.join(" . ")} }`,
  ]);
  return reply && readElements(reply)[0];
}

export function idOf({ family, name }: NftTable): { readonly family: NftTable["family"]; readonly table: string } {
  return { family, table: name };
}

function bySet(
  table: NftTable,
  owned: readonly OwnedElement[],
): readonly (readonly [NftSetDefinition, readonly NftElement[]])[] {
  return table.sets
    .map((set) => [set, owned.filter((one) => one.set === set.name).map(({ element }) => element)] as const)
    .filter(([, elements]) => elements.length > 0);
}

export function chunks<T>(items: readonly T[]): readonly (readonly T[])[] {
  const parts: (readonly T[])[] = [];
  for (let at = 0; at < items.length; at += elementsPerMessage) parts.push(items.slice(at, at + elementsPerMessage));
  return parts;
}

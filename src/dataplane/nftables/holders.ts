/** Reads the elements of a map with their owners' comments. */
import type { Sys } from "../../host/sys.ts";
import { dumpElements } from "../../netlink/nftables/elements.ts";
import { readElements } from "../../netlink/nftables/read.ts";
import { type DataType, decodeFields } from "../../netlink/nftables/type.ts";
import type { FoundElement, NftTable } from "../../plan/nft.ts";
import { findElement, idOf } from "./owner.ts";
import { NftSession } from "./session.ts";

/** The elements of a set with these `keys`; all elements if `keys` is absent. */
export interface ElementListing {
  readonly kind: "nft-elements";
  readonly table: NftTable;
  readonly set: string;
  readonly keys?: readonly (readonly string[])[];
}

export function listElements({ table, set, keys }: ElementListing, sys: Sys): readonly FoundElement[] {
  if (keys?.length === 0) return [];
  const session = new NftSession(sys);
  try {
    if (keys !== undefined) {
      return keys.flatMap((key) => {
        const found = findElement(session, table, { set, element: { key } });
        return found ? [{ key, holder: found.comment, data: bytesOf(found.data) }] : [];
      });
    }
    const definition = table.sets.find(({ name }) => name === set);
    const replies = session.dump(dumpElements({ ...idOf(table), set }), [
      "list",
      `${set} of table ${table.family} ${table.name}`,
    ]);
    return (replies ?? []).flatMap(readElements).map(({ key, comment, data }) => ({
      key: decodeFields((definition?.key ?? []) as readonly DataType[], key),
      holder: comment,
      data: bytesOf(data),
    }));
  } finally {
    session.close();
  }
}

function bytesOf(data: Uint8Array | object | undefined): Uint8Array | undefined {
  return data instanceof Uint8Array ? data : undefined;
}

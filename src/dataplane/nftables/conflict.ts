/** What one attachment wants and another has. */
import type { NftElement, NftTable } from "../../plan/nft.ts";

/** Thrown by `applyNft`. The plugin turns it into words of its own: it knows what the element is for. */
export class NftConflict extends Error {
  override readonly name = "NftConflict";
  readonly table: NftTable;
  readonly set: string;
  /** As it is wanted. */
  readonly element: NftElement;
  /** The comment of the element that is there: whose it is, cut if that is long. `undefined`: a hand wrote it. */
  readonly holder: string | undefined;
  /** The datum of the element that is there, in register bytes. */
  readonly data: Uint8Array | undefined;

  constructor(
    table: NftTable,
    set: string,
    element: NftElement,
    holder: string | undefined,
    data: Uint8Array | undefined,
  ) {
    super(`cannot add ${element.key.join(" . ")} to ${set} of table ${table.family} ${table.name}: ${holder} has it`);
    this.table = table;
    this.set = set;
    this.element = element;
    this.holder = holder;
    this.data = data;
  }
}

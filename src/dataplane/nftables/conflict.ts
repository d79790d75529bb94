/** What one attachment wants and another has. */
import type { NftElement, NftTable } from "../../plan/nft.ts";
import { ConflictError } from "../errors.ts";

/**
 * Thrown by `applyNft`. The plugin turns it into words of its own: it knows what the element is for. The holder is
 * the comment of the element that is there, cut if that is long.
 */
export class NftConflict extends ConflictError {
  override readonly name = "NftConflict";
  readonly table: NftTable;
  readonly set: string;
  /** As it is wanted. */
  readonly element: NftElement;
  /** The datum of the element that is there, in register bytes. */
  readonly data: Uint8Array | undefined;

  constructor(
    table: NftTable,
    set: string,
    element: NftElement,
    holder: string | undefined,
    data: Uint8Array | undefined,
  ) {
    const place = `${set} of table ${table.family} ${table.name}`;
    super(["add", `${element.key.join(" . ")} to ${place}`], `${holder} has it`, holder);
    this.table = table;
    this.set = set;
    this.element = element;
    this.data = data;
  }
}

/** The names of an owner in nf_tables: a set's name and a comment. */

import { ownerPrefix } from "../identity/names.ts";
import { sha256 } from "../net/digest.ts";
import { maxCommentLength } from "./nft.ts";

/** The name prefix of the sets that list an attachment's elements of a table. Never change it: upgrades use it to remove. */
export const ownerSetPrefix = "owner_";

/**
 * The name of the set that lists an owner's elements. nft(8) accepts letters, digits and `_.-/`; an owner with other characters is
 * named by its digest, so that nft can read its own output.
 */
export function nftOwnerSet(owner: string): string {
  const name = owner.slice(ownerPrefix.length);
  return ownerSetPrefix + (/^[\w.\-/]*$/.test(name) ? name : sha256(owner));
}

/** An owner as a comment. One that is too long is cut and ends in a part of its digest; the network's prefix is never cut. */
export function nftOwnerComment(owner: string): string {
  return owner.length <= maxCommentLength ? owner : `${owner.slice(0, 120)}~${sha256(owner).slice(0, 6)}`;
}

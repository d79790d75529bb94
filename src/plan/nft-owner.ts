/** How an attachment is named in nf_tables: as a set, and as a comment. */

import { ownerPrefix } from "../identity/names.ts";
import { sha256 } from "../net/digest.ts";
import { maxCommentLength } from "./nft.ts";

/** Sets whose name begins so list what an attachment has in the table. Never change: an upgrade finds and removes by it. */
export const ownerSetPrefix = "owner_";

/**
 * The name of an owner's index. nft(8) takes letters, digits and `_.-/` in a name: an owner of other characters goes by its digest,
 * so that what nft prints can be read by nft.
 */
export function nftOwnerSet(owner: string): string {
  const name = owner.slice(ownerPrefix.length);
  return ownerSetPrefix + (/^[\w.\-/]*$/.test(name) ? name : sha256(owner));
}

/** An owner as a comment: cut, with a piece of its digest, where it is too long for one. Its network's prefix is never cut. */
export function nftOwnerComment(owner: string): string {
  return owner.length <= maxCommentLength ? owner : `${owner.slice(0, 120)}~${sha256(owner).slice(0, 6)}`;
}

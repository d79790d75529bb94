/** Links without an alias under a name of ours: their maker was killed before it could write the owner on them. */
import type { Link } from "../../netlink/link.ts";
import type { LinkKind } from "../../plan/resource.ts";

/** What NEWLINK gives a link at once. */
export interface LinkSignature {
  readonly kind: LinkKind;
  readonly mac?: string | undefined;
}

/**
 * Whether a link that bears one of our names was born as one of ours and never claimed. (The Go plugins write no alias: what they made
 * for the same pod under the same name is taken over alike.)
 */
export function isUnclaimed({ alias, kind, mac }: Link, born: LinkSignature): boolean {
  return alias === undefined && kind === born.kind && (born.mac === undefined || mac === born.mac);
}
